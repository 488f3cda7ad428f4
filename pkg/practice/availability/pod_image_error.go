package availability

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PodImageError finds pods whose image cannot be pulled.
//
// A mistyped tag, a registry that is away or a credential that ran out: new
// pods do not start, and old ones cannot move to another node.
// https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff
func PodImageError() practice.Practice {
	return practice.Practice{
		ID:       "pod-image-error",
		Title:    "Pods whose image cannot be pulled",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A mistyped tag, a registry that is away, a credential that ran out: new pods do not start, and old ones cannot move when their node goes.",
		Judged:   "The containers of all pods that wait for their image, with the kubelet's reason and image.",
		Fix:      "correct the image or its pull secret",
		Sources:  []string{"https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods},
		Uses:     []cluster.Kind{cluster.ReplicaSets, cluster.Jobs},
		Check: practice.EachWorkload(hasPods, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			return eachTrouble(w, imageTrouble)
		}),
	}
}
