package resources

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// NodePodsFull finds nodes that have no place for another pod.
//
// A kubelet runs a fixed number of pods (110 unless configured), and some
// networks have fewer addresses. Past it pods wait, though CPU and memory are
// free, and the scheduler's "Too many pods" is easily overlooked.
// https://kubernetes.io/docs/setup/best-practices/cluster-large/
func NodePodsFull() practice.Practice {
	return practice.Practice{
		ID:       "node-pods-full",
		Title:    "Node with nearly all of its places for pods taken",
		Chapter:  practice.Resources,
		Severity: report.Warning,
		Reason: "A kubelet runs a fixed number of pods, 110 unless configured otherwise, and some networks have fewer addresses. " +
			"Past it pods wait, though CPU and memory are free.",
		Judged: "The pods of each node that have not ended, against the places that it can allocate (status.allocatable.pods): more than 90 %.",
		Fix:    "add a node, or raise the kubelet's maxPods where its network has the addresses",
		Sources: []string{
			"https://kubernetes.io/docs/setup/best-practices/cluster-large/",
			"https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/#kubelet-config-k8s-io-v1beta1-KubeletConfiguration",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes, cluster.Pods},
		Thresholds:   practice.Thresholds{{Name: "percent", Value: 90, Meaning: "of a node's places for pods, above which it is nearly full"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			var v practice.Verdict
			for _, node := range s.Nodes {
				places := node.Status.Allocatable[corev1.ResourcePods]
				if places.IsZero() {
					continue // the kubelet has not said yet
				}
				ref := cluster.RefOf("v1", "Node", &node.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if taken := s.ReservedOn(node.Name).Pods; 100*float64(taken) > by.Of("percent")*float64(places.Value()) {
					v.Findings = append(v.Findings, practice.On(ref, "status.allocatable.pods", "runs %d pods of %d that it has places for", taken, places.Value()))
				}
			}
			return v
		},
	}
}
