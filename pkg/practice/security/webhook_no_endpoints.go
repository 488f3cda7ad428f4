package security

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// WebhookNoEndpoints finds webhooks that nobody answers.
//
// An operator that was removed leaves its webhooks behind. Those that fail
// closed refuse every write that they were for; the others let each wait for
// the timeout, and pass what they were to stop.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
func WebhookNoEndpoints() practice.Practice {
	return practice.Practice{
		ID:       "webhook-no-endpoints",
		Title:    "Webhook that nothing answers",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "A webhook whose backend is gone, as an operator that was removed leaves it behind, refuses every write that it is asked about. " +
			"With failurePolicy Ignore each such write waits for the timeout, and what the webhook was to stop passes.",
		Judged: "Each webhook that is answered by a Service: the Service must exist and have a ready endpoint, by its EndpointSlices. With failurePolicy Ignore it is a warning. " +
			"Webhooks behind a URL, and Services of type ExternalName, are not judged.",
		Fix: "bring the backend back, or delete the webhook's configuration with it",
		Sources: []string{
			"https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#failure-policy",
		},
		Now:          true,
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Services, cluster.EndpointSlices},
		Judges:       webhookKinds(),
		Check: eachWebhook(func(s *cluster.Snapshot, w webhook) []practice.Finding {
			if w.service == nil {
				return nil
			}
			name := w.service.Namespace + "/" + w.service.Name
			service := s.Service(w.service.Namespace, w.service.Name)
			var said string
			switch {
			case service == nil:
				said = "its Service " + name + " does not exist"
			case service.Spec.Type == corev1.ServiceTypeExternalName:
				return nil
			case s.EndpointsOf(service).Ready == 0:
				said = "its Service " + name + " has no ready endpoint"
			default:
				return nil
			}
			if !w.fails {
				return []practice.Finding{practice.On(w.ref, w.path+".clientConfig.service", "%q is asked in vain, for up to %d s a request: %s", w.name, w.timeout, said).As(report.Warning)}
			}
			return []practice.Finding{practice.On(w.ref, w.path+".clientConfig.service", "%q refuses all that it is asked about: %s", w.name, said)}
		}),
	}
}
