package pitfalls

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// DefaultNamespaceUsed finds workloads that landed where nobody put them.
//
// Quotas, policies, roles and Pod Security levels hold for a namespace. What
// several owners leave in "default" can be given none of them without hitting
// the others, and is what a forgotten -n creates and deletes.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
func DefaultNamespaceUsed() practice.Practice {
	return practice.Practice{
		ID:       "default-namespace-used",
		Title:    "Workload in the namespace default",
		Chapter:  practice.Pitfalls,
		Severity: report.Warning,
		Reason: "Quotas, network policies, roles and Pod Security levels hold for a namespace. What several owners leave in \"default\" can be given none of them " +
			"without hitting the others, and is what a forgotten -n creates and deletes.",
		Judged: "Each workload. Of manifests, one that names no namespace goes where kubectl would create it.",
		Fix:    "give it a namespace of its own",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/#initial-namespaces",
		},
		Judges: cluster.WorkloadKinds(),
		Check: practice.EachWorkload(nil, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			if w.Self.Namespace != corev1.NamespaceDefault {
				return nil
			}
			return []practice.Finding{practice.On(w.Owner, "metadata.namespace", "runs in the namespace default")}
		}),
	}
}
