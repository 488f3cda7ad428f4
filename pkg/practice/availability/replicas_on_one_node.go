package availability

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ReplicasOnOneNode finds replicas that one node carries.
//
// Nothing moves running pods: after a node was away, or while one was full,
// all replicas may have landed on one node, and there they stay.
// https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
func ReplicasOnOneNode() practice.Practice {
	return practice.Practice{
		ID:       "replicas-on-one-node",
		Title:    "All replicas on one node",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "The scheduler places a pod once, and nothing moves it later. After a node was away all replicas may stand on one node, " +
			"and there they stay until that node takes them down together.",
		Judged: "Deployments and StatefulSets that want at least 2 pods and have at least 2 on nodes, in a cluster with at least 2 nodes that take ordinary pods. " +
			"Critical where the cluster has several zones: then they are in one zone too.",
		Fix: "spread them with topologySpreadConstraints over kubernetes.io/hostname, then restart the rollout",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/",
			"https://github.com/kubernetes-sigs/descheduler#removepodsviolatingtopologyspreadconstraint",
		},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods, cluster.Nodes},
		Judges:   []cluster.Kind{cluster.Deployments, cluster.StatefulSets},
		Uses:     []cluster.Kind{cluster.Autoscalers, cluster.ReplicaSets},
		Remedy: &practice.Remedy{
			Does:    respreads("kubernetes.io/hostname"),
			Uses:    []cluster.Kind{cluster.Claims, cluster.Volumes},
			Propose: mend.Workload(respreadOver(corev1.LabelHostname)),
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			if workerNodes(s) < 2 {
				return practice.Verdict{} // there is nowhere else
			}
			return practice.EachWorkload(runsSeveral, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				at := standingOf(s, w)
				if at.pods < 2 || len(at.nodes) > 1 {
					return nil
				}
				finding := practice.On(w.Owner, "", "all %d pods are on node %s, one of %d", at.pods, at.nodes[0], len(s.Nodes))
				if zones := s.Zones(); len(zones) > 1 && len(at.zones) == 1 {
					finding = practice.On(w.Owner, "", "all %d pods are on node %s, one of %d, and so in zone %s, one of %d",
						at.pods, at.nodes[0], len(s.Nodes), at.zones[0], len(zones)).As(report.Critical)
				}
				return []practice.Finding{finding.Mended("%s", respread(w))}
			})(s)
		},
	}
}
