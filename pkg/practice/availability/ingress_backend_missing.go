package availability

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// IngressBackendMissing finds front doors that open on a wall.
//
// An Ingress holds its Services, their ports and its certificate by name, and
// is accepted whether they exist or not: users get a 503 or a foreign certificate.
// https://kubernetes.io/docs/concepts/services-networking/ingress/
func IngressBackendMissing() practice.Practice {
	return practice.Practice{
		ID:       "ingress-backend-missing",
		Title:    "Ingress to a Service, port or certificate that does not exist",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "An Ingress holds its Services, their ports and its certificate by name, and is accepted whether they exist or not. Users get a 503, or a certificate that is not theirs.",
		Judged: "Each Ingress: the Services of its rules and default backend must exist in its namespace and have the port by number or name; " +
			"the secrets of its tls must exist with type kubernetes.io/tls, where those could be read, and where cert-manager is not to make them. " +
			"In manifests a missing object is a warning: it may stand in other files.",
		Fix: "name a Service and port that exist",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/services-networking/ingress/#the-ingress-resource",
			"https://kubernetes.io/docs/concepts/services-networking/ingress/#tls",
		},
		Needs: []cluster.Kind{cluster.Ingresses, cluster.Services},
		Uses:  []cluster.Kind{cluster.TLSSecrets},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			secrets := tlsSecrets(s)
			for _, ingress := range s.Ingresses {
				ref := cluster.RefOf("networking.k8s.io/v1", "Ingress", &ingress.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				findings := backends(s, ref, ingress)
				if s.WasRead(cluster.TLSSecrets) && !madeByCertManager(ingress) {
					findings = append(findings, certificates(ref, ingress, secrets)...)
				}
				for _, f := range findings {
					if !s.Origin.Live {
						f = f.As(report.Warning)
					}
					v.Findings = append(v.Findings, f)
				}
			}
			return v
		},
	}
}

type name struct{ namespace, name string }

func tlsSecrets(s *cluster.Snapshot) map[name]bool {
	all := make(map[name]bool, len(s.TLSSecrets))
	for _, secret := range s.TLSSecrets {
		all[name{secret.Namespace, secret.Name}] = true
	}
	return all
}

func madeByCertManager(ingress *networkingv1.Ingress) bool {
	for _, annotation := range []string{"cert-manager.io/cluster-issuer", "cert-manager.io/issuer", "kubernetes.io/tls-acme"} {
		if ingress.Annotations[annotation] != "" {
			return true
		}
	}
	return false
}

func backends(s *cluster.Snapshot, ref cluster.Ref, ingress *networkingv1.Ingress) []practice.Finding {
	var findings []practice.Finding
	look := func(path, host string, backend *networkingv1.IngressBackend) {
		if backend == nil || backend.Service == nil {
			return
		}
		service := s.Service(ingress.Namespace, backend.Service.Name)
		switch port := backend.Service.Port; {
		case service == nil:
			findings = append(findings, practice.On(ref, path+".service.name", "%s goes to Service %q, which does not exist in namespace %s", host, backend.Service.Name, ingress.Namespace))
		case service.Spec.Type == corev1.ServiceTypeExternalName:
		case !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool {
			return (port.Name != "" && p.Name == port.Name) || (port.Name == "" && p.Port == port.Number)
		}):
			findings = append(findings, practice.On(ref, path+".service.port", "%s goes to port %s of Service %q, which has no such port", host, portWords(port), service.Name))
		}
	}
	look("spec.defaultBackend", "what no rule takes", ingress.Spec.DefaultBackend)
	for i, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for j := range rule.HTTP.Paths {
			path := &rule.HTTP.Paths[j]
			look(fmt.Sprintf("spec.rules[%d].http.paths[%d].backend", i, j), rule.Host+path.Path, &path.Backend)
		}
	}
	return findings
}

func portWords(port networkingv1.ServiceBackendPort) string {
	if port.Name != "" {
		return fmt.Sprintf("%q", port.Name)
	}
	return fmt.Sprint(port.Number)
}

func certificates(ref cluster.Ref, ingress *networkingv1.Ingress, secrets map[name]bool) []practice.Finding {
	var findings []practice.Finding
	for i, tls := range ingress.Spec.TLS {
		if tls.SecretName != "" && !secrets[name{ingress.Namespace, tls.SecretName}] {
			findings = append(findings, practice.On(ref, fmt.Sprintf("spec.tls[%d].secretName", i), "the certificate of %v is to come from Secret %q, and namespace %s has no such Secret of type kubernetes.io/tls",
				tls.Hosts, tls.SecretName, ingress.Namespace).Mended("kubectl create secret tls %s -n %s --cert=… --key=…", tls.SecretName, ingress.Namespace))
		}
	}
	return findings
}
