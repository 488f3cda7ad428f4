package observability

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

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
		Title:    "Certificate that expires within 30 days",
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Now:      true,
		Reason:   "A certificate ends at a second that was known for months, and everything that trusts it stops at once. It is the most foreseeable of all outages.",
		Judged: "The API server's serving certificate, the kubeconfig's client certificate and the first certificate of each TLS secret: less than 30 days left, critical below 7. " +
			"For certificates that live for less than 90 days these are a third and a twelfth of their life, since what renews them renews late. Keys are not read.",
		Fix: "renew the certificate",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/",
			"https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets",
			"https://cert-manager.io/docs/usage/certificate/#reissuance-triggered-by-expiry-renewal",
		},
		Uses: []cluster.Kind{cluster.TLSSecrets},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, certificate := range s.Origin.Certificates {
				v.Judged = append(v.Judged, practice.WholeCluster())
				v.Findings = append(v.Findings, expiring(s.Time, certificate, practice.On(practice.WholeCluster(), "", ""))...)
			}
			for _, secret := range s.TLSSecrets {
				v.Judged = append(v.Judged, secretRef(secret))
				v.Findings = append(v.Findings, expiringSecret(s.Time, secret)...)
			}
			return v
		},
	}
}

func secretRef(secret *corev1.Secret) cluster.Ref {
	return cluster.RefOf("v1", "Secret", &secret.ObjectMeta)
}

func expiringSecret(now time.Time, secret *corev1.Secret) []practice.Finding {
	finding := practice.On(secretRef(secret), "data[tls.crt]", "")
	certificate, found := cluster.CertificateIn("certificate", secret.Data[corev1.TLSCertKey])
	if !found {
		finding.Message = "tls.crt holds no certificate"
		return []practice.Finding{finding.Mended("put a PEM certificate into tls.crt, or delete the secret")}
	}
	if name := secret.Annotations["cert-manager.io/certificate-name"]; name != "" {
		finding = finding.Mended("cert-manager should have renewed it: kubectl describe certificate -n %s %s", secret.Namespace, name)
	}
	return expiring(now, certificate, finding)
}

// expiring completes a finding on a certificate, if it ends too soon.
func expiring(now time.Time, c cluster.Certificate, finding practice.Finding) []practice.Finding {
	left := c.NotAfter.Sub(now)
	warning, critical := windows(c.NotAfter.Sub(c.NotBefore))
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
func windows(life time.Duration) (warning, critical time.Duration) {
	if life <= 0 {
		return 30 * day, 7 * day
	}
	return min(30*day, life/3), min(7*day, life/12)
}

// span is a duration in days, or in hours when there is less than two days.
func span(d time.Duration) string {
	if d < 2*day {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d/day))
}
