package availability

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PodPending finds pods that were accepted and do not start.
//
// A pod that no node takes, or that its kubelet cannot create, is capacity that
// the workload counts on and has not. The scheduler and the kubelet say why.
// https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/
func PodPending() practice.Practice {
	return practice.Practice{
		ID:       "pod-pending",
		Title:    "Pods that do not start",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A pod that no node takes, or that its kubelet cannot create, is capacity that the workload counts on and has not. It waits until somebody reads why.",
		Judged: "Pods that are Pending: unschedulable for 2 minutes, with the scheduler's own reason; or with a container that the kubelet cannot create, with its reason; " +
			"or scheduled 10 minutes ago without any container yet. Images are pod-image-error's.",
		Fix: "read the reason: kubectl describe pod",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/#my-pod-stays-pending",
			"https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions",
		},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods},
		Uses:     []cluster.Kind{cluster.ReplicaSets, cluster.Jobs},
		Check: practice.EachWorkload(hasPods, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			return eachTrouble(w, func(pod *cluster.Pod) *trouble { return pending(s.Time, pod) })
		}),
	}
}

func hasPods(w *cluster.Workload) bool { return len(w.Pods) > 0 }
