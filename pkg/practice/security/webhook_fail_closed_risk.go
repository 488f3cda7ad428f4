package security

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// WebhookFailClosedRisk finds webhooks that can lock themselves out.
//
// A webhook that must be asked before a pod is made, and is answered by pods
// that it must be asked about, cannot come back once they are all gone: the
// cluster makes no pod until a person deletes its configuration.
// https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/
func WebhookFailClosedRisk() practice.Practice {
	return practice.Practice{
		ID:       "webhook-fail-closed-risk",
		Title:    "Fail-closed webhook on its own pods",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "A webhook that must be asked before a pod is made, and is answered by pods that it must be asked about, cannot come back once they are all gone: " +
			"where it reaches, no pod is made until a person deletes its configuration.",
		Judged: "Each webhook with failurePolicy Fail that is asked about new pods: its namespaceSelector must leave out the namespace of its own Service, or its objectSelector the pods behind it (critical), " +
			"and kube-system, where the network plugin and DNS run (a warning). Webhooks with matchConditions are not judged, nor whether a URL leads into the cluster. " +
			"A webhook whose backend is the platform's is the platform's finding.",
		Fix: "leave its own namespace and kube-system out with a namespaceSelector on kubernetes.io/metadata.name, or set failurePolicy: Ignore",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/",
			"https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#avoiding-deadlocks-in-self-hosted-webhooks",
		},
		ClusterScope: true,
		Judges:       webhookKinds(),
		Uses:         append([]cluster.Kind{cluster.Namespaces, cluster.Services}, cluster.WorkloadKinds()...),
		Check: eachWebhook(func(s *cluster.Snapshot, w webhook) []practice.Finding {
			if !w.fails || !w.judgesPods() || w.conditional {
				return nil
			}
			if w.service != nil && w.reaches(s, w.service.Namespace) && !w.sparesItself(s) {
				return []practice.Finding{practice.On(w.ref, w.path+".namespaceSelector",
					"%q refuses new pods when nothing answers it, and is asked about those of namespace %s, where its own backend runs (Service %s)", w.name, w.service.Namespace, w.service.Name)}
			}
			if w.reaches(s, "kube-system") && (w.objects == nil || isEmpty(w.objects)) {
				return []practice.Finding{practice.On(w.ref, w.path+".namespaceSelector",
					"%q refuses new pods when nothing answers it, also those of kube-system, which the cluster needs to come back", w.name).As(report.Warning)}
			}
			return nil
		}),
	}
}
