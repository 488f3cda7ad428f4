package availability

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PodStuckTerminating finds pods that do not end.
//
// A pod that should be gone holds its volume, its name in a StatefulSet and its
// place on the node; a drain waits for it.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
func PodStuckTerminating() practice.Practice {
	return practice.Practice{
		ID:       "pod-stuck-terminating",
		Title:    "Pods that were to be gone",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A pod that should be gone holds its volume, its name in a StatefulSet and its place on the node. A drain waits for it, and its replacement may not start.",
		Judged:   "Pods more than 2 minutes past the end of their grace period, with the finalizers that hold them or the state of their node.",
		Fix:      "find out what holds it before forcing it: kubectl describe pod",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-forced",
			"https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/",
		},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods},
		Uses:     []cluster.Kind{cluster.ReplicaSets, cluster.Jobs, cluster.Nodes},
		Check: practice.EachWorkload(hasPods, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			return eachTrouble(w, func(pod *cluster.Pod) *trouble {
				// The deletion timestamp is when the grace period ends.
				if pod.DeletionTimestamp == nil || s.Time.Sub(pod.DeletionTimestamp.Time) < settling {
					return nil
				}
				return &trouble{fmt.Sprintf("should have been gone %s ago; %s", since(s.Time, pod.DeletionTimestamp.Time), whatHolds(s, pod)), describePod(pod)}
			})
		}),
	}
}

func whatHolds(s *cluster.Snapshot, pod *cluster.Pod) string {
	if len(pod.Finalizers) > 0 {
		return "held by the finalizers " + strings.Join(pod.Finalizers, ", ")
	}
	if pod.Spec.NodeName == "" {
		return "it never had a node"
	}
	if node := s.Node(pod.Spec.NodeName); node != nil {
		if ready := nodeCondition(node, corev1.NodeReady); ready == nil || ready.Status != corev1.ConditionTrue {
			return "its node " + node.Name + " is not ready to say that it is"
		}
	} else if s.WasRead(cluster.Nodes) {
		return "its node " + pod.Spec.NodeName + " is gone"
	}
	return "its node " + pod.Spec.NodeName + " does not end it"
}
