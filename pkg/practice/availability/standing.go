package availability

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// standing is where a Workload's pods are now.
type standing struct {
	pods  int
	nodes []string // distinct names, sorted
	zones []string // distinct, sorted; of nodes that carry the label
}

// standingOf looks at the pods that run or start on a node and are to stay.
func standingOf(s *cluster.Snapshot, w *cluster.Workload) standing {
	var at standing
	for _, pod := range w.Pods {
		if !stays(pod) || pod.Spec.NodeName == "" {
			continue
		}
		at.pods++
		at.nodes = append(at.nodes, pod.Spec.NodeName)
		if node := s.Node(pod.Spec.NodeName); node != nil && node.Labels[corev1.LabelTopologyZone] != "" {
			at.zones = append(at.zones, node.Labels[corev1.LabelTopologyZone])
		}
	}
	at.nodes, at.zones = distinct(at.nodes), distinct(at.zones)
	return at
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// stays reports whether a pod is neither over nor on its way out.
func stays(pod *cluster.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// workerNodes counts the nodes on which ordinary pods may be put.
func workerNodes(s *cluster.Snapshot) int {
	n := 0
	for _, node := range s.Nodes {
		if !node.Spec.Unschedulable && !slices.ContainsFunc(node.Spec.Taints, repels) {
			n++
		}
	}
	return n
}

func repels(taint corev1.Taint) bool {
	return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
}
