package availability

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// lowest is how many pods a Workload with replicas may run at the least
// without anybody deciding so: its own count or, under an autoscaler, the
// autoscaler's minimum, which the API server defaults to 1.
func lowest(w *cluster.Workload) int32 {
	if w.Autoscaler == nil {
		return *w.Replicas
	}
	if w.Autoscaler.Spec.MinReplicas == nil {
		return 1
	}
	return *w.Autoscaler.Spec.MinReplicas
}

// runsSeveral reports whether a Workload is meant to run at least two pods; one
// at zero is meant to run none, and its autoscaler rests.
func runsSeveral(w *cluster.Workload) bool {
	return w.HasReplicas() && *w.Replicas > 0 && wanted(w) >= 2
}

// wanted is the greater of a Workload's count and its autoscaler's minimum:
// in manifests the count is often left to the autoscaler.
func wanted(w *cluster.Workload) int32 {
	return max(*w.Replicas, lowest(w))
}
