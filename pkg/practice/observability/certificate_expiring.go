package observability

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const day = 24 * time.Hour

// CertificateExpiring finds certificates that end soon.
//
// A certificate ends at a second that was known for months, and everything
// that trusts it stops at once. It is the most foreseeable of all outages.
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/
func CertificateExpiring() practice.Practice {
	return practice.Practice{
		ID:       "certificate-expiring",
		Title:    "Certificate that expires soon",
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Now:      true,
		Reason:   "A certificate ends at a second that was known for months, and everything that trusts it stops at once. It is the most foreseeable of all outages.",
		Judged: "The API server's serving certificate, the kubeconfig's client certificate, the first certificate of each TLS secret, each Certificate of cert-manager (in place of its secret), " +
			"what the API server trusts webhooks, APIServices and conversions of custom resources by, the roots of Istio and Linkerd, and the certificates of some kubelets of each kind of node (by their metrics; where the kubelet renews them itself, only once they have ended): " +
			"less than 30 days left, critical below 7. Of a bundle the one that ends last counts, since one suffices. " +
			"For certificates that live for less than 90 days these are a third and a twelfth of their life, since what renews them renews late. " +
			"An info tells of clients that came to the API server with a certificate of less than a week (apiserver_client_certificate_expiration_seconds). Keys are not read.",
		Fix: "renew the certificate",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/",
			"https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets",
			"https://cert-manager.io/docs/usage/certificate/#reissuance-triggered-by-expiry-renewal",
			"https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/",
			"https://linkerd.io/2/tasks/manually-rotating-control-plane-tls-credentials/",
		},
		Thresholds: practice.Thresholds{
			{Name: "warning-days", Value: 30, Meaning: "left, below which it is told"},
			{Name: "critical-days", Value: 7, Meaning: "left, below which it is critical"},
		},
		Uses: []cluster.Kind{
			cluster.TLSSecrets, cluster.Certificates, cluster.ValidatingWebhooks, cluster.MutatingWebhooks, cluster.APIServices, cluster.Definitions,
			cluster.IstioRoots, cluster.LinkerdRoots, cluster.KubeletTTLs, cluster.KubeletConfigs, cluster.ServerMetrics,
		},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			e := &expiries{now: s.Time, by: by}
			for _, certificate := range s.Origin.Certificates {
				e.judge(certificate, practice.On(practice.WholeCluster(), "", ""))
			}
			e.secrets(s)
			e.certificates(s)
			e.bundles(s)
			e.anchors(s)
			e.kubelets(s)
			e.clients(s)
			return e.verdict
		},
	}
}

// expiries carries the judgement of one Snapshot.
type expiries struct {
	now     time.Time
	by      practice.Thresholds
	verdict practice.Verdict
}

// judge judges one certificate; finding says on what.
func (e *expiries) judge(certificate cluster.Certificate, finding practice.Finding) {
	e.verdict.Judged = append(e.verdict.Judged, finding.Object)
	e.verdict.Findings = append(e.verdict.Findings, e.expiring(certificate, finding)...)
}

func secretRef(secret *corev1.Secret) cluster.Ref {
	return cluster.RefOf("v1", "Secret", &secret.ObjectMeta)
}

// secrets judges TLS secrets, but for those that a Certificate answers for.
func (e *expiries) secrets(s *cluster.Snapshot) {
	managed := map[[2]string]bool{}
	for _, c := range s.System(cluster.Certificates) {
		managed[[2]string{c.GetNamespace(), c.GetName()}] = text(c, "status", "notAfter") != ""
	}
	for _, secret := range s.TLSSecrets {
		name := secret.Annotations["cert-manager.io/certificate-name"]
		if managed[[2]string{secret.Namespace, name}] {
			continue
		}
		finding := practice.On(secretRef(secret), "data[tls.crt]", "")
		certificate, found := cluster.CertificateIn("certificate", secret.Data[corev1.TLSCertKey])
		if !found {
			finding.Message = "tls.crt holds no certificate"
			e.verdict.Judged = append(e.verdict.Judged, finding.Object)
			e.verdict.Findings = append(e.verdict.Findings, finding.Mended("put a PEM certificate into tls.crt, or delete the secret"))
			continue
		}
		if name != "" {
			finding = finding.Mended("cert-manager should have renewed it: kubectl describe certificate -n %s %s", secret.Namespace, name)
		}
		e.judge(certificate, finding)
	}
}

// certificates judges cert-manager's Certificates by what it last issued.
func (e *expiries) certificates(s *cluster.Snapshot) {
	for _, object := range s.System(cluster.Certificates) {
		ends, err := time.Parse(time.RFC3339, text(object, "status", "notAfter"))
		if err != nil {
			continue // never issued, which its condition Ready tells
		}
		starts, _ := time.Parse(time.RFC3339, text(object, "status", "notBefore")) // zero where it is not told
		certificate := cluster.Certificate{Use: "certificate", Subject: subject(object), NotBefore: starts, NotAfter: ends}
		if starts.IsZero() {
			certificate.NotBefore = ends.Add(-365 * day)
		}
		e.verdict.Judged = append(e.verdict.Judged, cluster.RefTo(object))
		finding := practice.On(cluster.RefTo(object), "status.notAfter", "").Mended("cert-manager should have renewed it: kubectl describe certificate -n %s %s", object.GetNamespace(), object.GetName())
		for _, found := range e.expiring(certificate, finding) {
			if ready, told := cluster.ConditionOf(object.Object, "Ready"); told && ready.Status != "True" {
				found.Message += fmt.Sprintf("; not ready (%s): %s", ready.Reason, ready.Message)
			}
			e.verdict.Findings = append(e.verdict.Findings, found)
		}
	}
}

// subject names what a Certificate is for.
func subject(object *unstructured.Unstructured) string {
	if name := text(object, "spec", "commonName"); name != "" {
		return name
	}
	if names, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "dnsNames"); len(names) > 0 {
		return names[0]
	}
	return "secret " + text(object, "spec", "secretName")
}

// bundles judges what the API server trusts others by.
func (e *expiries) bundles(s *cluster.Snapshot) {
	const admission = "admissionregistration.k8s.io/v1"
	for _, configuration := range s.ValidatingWebhooks {
		ref := cluster.RefOf(admission, "ValidatingWebhookConfiguration", &configuration.ObjectMeta)
		for i, w := range configuration.Webhooks {
			e.bundle("CA bundle of webhook "+w.Name, w.ClientConfig.CABundle, ref, fmt.Sprintf("webhooks[%d].clientConfig.caBundle", i))
		}
	}
	for _, configuration := range s.MutatingWebhooks {
		ref := cluster.RefOf(admission, "MutatingWebhookConfiguration", &configuration.ObjectMeta)
		for i, w := range configuration.Webhooks {
			e.bundle("CA bundle of webhook "+w.Name, w.ClientConfig.CABundle, ref, fmt.Sprintf("webhooks[%d].clientConfig.caBundle", i))
		}
	}
	for _, service := range s.APIServices {
		e.bundle("CA bundle", service.Spec.CABundle, cluster.RefOf("apiregistration.k8s.io/v1", "APIService", &service.ObjectMeta), "spec.caBundle")
	}
	for _, definition := range s.Definitions {
		e.bundle("CA bundle of its conversion webhook", definition.Spec.Conversion.Webhook.ClientConfig.CABundle, cluster.RefOf("apiextensions.k8s.io/v1", "CustomResourceDefinition", &definition.ObjectMeta), "spec.conversion.webhook.clientConfig.caBundle")
	}
}

// bundle judges the certificate of a bundle that ends last.
func (e *expiries) bundle(use string, pem []byte, ref cluster.Ref, path string) {
	if all := cluster.CertificatesIn(use, pem); len(all) > 0 {
		last := slices.MaxFunc(all, func(a, b cluster.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		e.judge(last, practice.On(ref, path, "").Mended("renew the authority, and put its certificate there before the old one ends; what injected it (cert-manager's cainjector, an operator) should do so"))
	}
}

// anchors judges the roots of meshes: with them every connection between proxies
// ends.
func (e *expiries) anchors(s *cluster.Snapshot) {
	for _, anchors := range s.TrustAnchors() {
		use := anchors.Mesh + " root certificate"
		if anchors.Mesh == "Linkerd" {
			use = "Linkerd trust anchor"
		}
		if all := cluster.CertificatesIn(use, []byte(anchors.PEM)); len(all) > 0 {
			last := slices.MaxFunc(all, func(a, b cluster.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
			e.judge(last, practice.On(anchors.Object, "data["+anchors.Key+"]", "").
				Mended("bundle the next root with this one, let every proxy restart, and only then issue from it"))
		}
	}
}

// kubelets judges the certificates that kubelets manage, by how long they still
// have.
func (e *expiries) kubelets(s *cluster.Snapshot) {
	for _, node := range slices.Sorted(maps.Keys(s.KubeletMetrics)) {
		m, config := s.KubeletMetrics[node], s.KubeletConfigs[node]
		ref := cluster.Ref{APIVersion: "v1", Kind: "Node", Name: node}
		e.verdict.Judged = append(e.verdict.Judged, ref)
		for _, one := range []struct {
			use    string
			ttl    float64
			renews bool
		}{{"kubelet's serving certificate", m.ServerTTL, config.ServerTLSBootstrap}, {"kubelet's client certificate", m.ClientTTL, config.RotateCertificates}} {
			// How long it lives is not told, so that one that is renewed every day
			// looks like one that nobody renews.
			if math.IsInf(one.ttl, 0) || math.IsNaN(one.ttl) || one.renews && one.ttl > 0 {
				continue
			}
			ends := e.now.Add(time.Duration(one.ttl * float64(time.Second)))
			certificate := cluster.Certificate{Use: one.use, NotBefore: ends.Add(-365 * day), NotAfter: ends}
			e.verdict.Findings = append(e.verdict.Findings, e.expiring(certificate, practice.On(ref, "", "").
				Mended("approve its request, or turn its rotation on: kubectl get csr; kubectl get --raw /api/v1/nodes/%s/proxy/configz", node))...)
		}
	}
}

// clients tells of clients whose certificates were near their end when they
// came; the API server counts them since it started, and does not name them.
func (e *expiries) clients(s *cluster.Snapshot) {
	if s.ServerMetrics == nil || s.ServerMetrics.ClientCertificates == 0 {
		return
	}
	e.verdict.Judged = append(e.verdict.Judged, practice.WholeCluster())
	if ending, all := s.ServerMetrics.ClientCertificatesEnding, s.ServerMetrics.ClientCertificates; ending > 0 {
		e.verdict.Findings = append(e.verdict.Findings, practice.On(practice.WholeCluster(), "",
			"since the API server started, %.0f of %.0f requests with a client certificate came with one that had less than a week left", ending, all).As(report.Info).
			Mended("find out whose it is: kubeadm certs check-expiration on the control plane; short-lived certificates on purpose need nothing"))
	}
}

// expiring completes a finding on a certificate, if it ends too soon.
func (e *expiries) expiring(c cluster.Certificate, finding practice.Finding) []practice.Finding {
	left := c.NotAfter.Sub(e.now)
	warning, critical := e.windows(c.NotAfter.Sub(c.NotBefore))
	if left >= warning {
		return nil
	}
	if left < critical {
		finding = finding.As(report.Critical)
	}
	date := c.NotAfter.UTC().Format("2006-01-02 15:04 MST")
	of := c.Use
	if c.Subject != "" {
		of = fmt.Sprintf("%s (%s)", c.Use, c.Subject)
	}
	if left <= 0 {
		finding.Message = fmt.Sprintf("the %s expired %s ago, on %s", of, span(-left), date)
	} else {
		finding.Message = fmt.Sprintf("the %s expires in %s, on %s", of, span(left), date)
	}
	return []practice.Finding{finding}
}

// windows are how long before its end a certificate of a given life becomes a
// warning, and critical.
func (e *expiries) windows(life time.Duration) (warning, critical time.Duration) {
	warning, critical = e.by.Span("warning-days", day), e.by.Span("critical-days", day)
	if life <= 0 {
		return warning, critical
	}
	return min(warning, life/3), min(critical, life/12)
}

// span is a duration in days, or in hours when there is less than two days.
func span(d time.Duration) string {
	if d < 2*day {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d/day))
}
