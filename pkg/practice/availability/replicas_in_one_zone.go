package availability

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ReplicasInOneZone finds replicas that one zone carries.
//
// Zones fail as a whole. A workload in one of several zones pays for their
// traffic and gets none of their safety.
// https://kubernetes.io/docs/setup/best-practices/multiple-zones/
func ReplicasInOneZone() practice.Practice {
	return practice.Practice{
		ID:       "replicas-in-one-zone",
		Title:    "All replicas in one of several zones",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Reason: "Zones fail as a whole: power, network or the provider's control plane. A workload whose replicas all stand in one of a cluster's zones " +
			"goes with it, though the cluster would survive.",
		Judged: "Deployments and StatefulSets that want at least 2 pods and have at least 2 on nodes, in a cluster whose nodes carry at least 2 values of topology.kubernetes.io/zone. " +
			"Pods that all share one node are replicas-on-one-node's, and pods whose volumes hold them there volume-zone-pinned's.",
		Fix: "spread them with topologySpreadConstraints over topology.kubernetes.io/zone, then restart the rollout",
		Sources: []string{
			"https://kubernetes.io/docs/setup/best-practices/multiple-zones/",
			"https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/",
		},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods, cluster.Nodes},
		Judges:   []cluster.Kind{cluster.Deployments, cluster.StatefulSets},
		Uses:     []cluster.Kind{cluster.Autoscalers, cluster.ReplicaSets, cluster.Claims, cluster.Volumes},
		Remedy: &practice.Remedy{
			Does:    respreads("topology.kubernetes.io/zone"),
			Propose: mend.Workload(respreadOver(corev1.LabelTopologyZone)),
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			zones := s.Zones()
			if len(zones) < 2 {
				return practice.Verdict{} // cluster-single-zone's
			}
			return practice.EachWorkload(runsSeveral, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				at := standingOf(s, w)
				if at.pods < 2 || len(at.nodes) < 2 || len(at.zones) != 1 || pinnedZone(s, w) != "" {
					return nil
				}
				return []practice.Finding{practice.On(w.Owner, "", "all %d pods are in zone %s, one of %d, on %d nodes", at.pods, at.zones[0], len(zones), len(at.nodes)).
					Mended("%s", respread(w))}
			})(s)
		},
	}
}
