package availability

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ClusterSingleZone finds clusters that stand or fall with one zone.
//
// No rule of a workload can spread it over zones that the cluster has not.
// https://kubernetes.io/docs/setup/best-practices/multiple-zones/
func ClusterSingleZone() practice.Practice {
	return practice.Practice{
		ID:       "cluster-single-zone",
		Title:    "Cluster in one zone",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason:   "Zones fail as a whole, and no rule of a workload can spread it over zones that the cluster has not. A cluster in one zone is down when the zone is.",
		Judged: "The values of topology.kubernetes.io/zone over all nodes: at least two. A cluster of one node has one failure domain, whatever its labels. " +
			"Not judged where no node carries the label, as on most bare metal.",
		Fix: "add node pools in at least two more zones of the region",
		Sources: []string{
			"https://kubernetes.io/docs/setup/best-practices/multiple-zones/",
			"https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesiozone",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			unlabelled := 0
			for _, node := range s.Nodes {
				if node.Labels[corev1.LabelTopologyZone] == "" {
					unlabelled++
				}
			}
			zones := s.Zones()
			switch {
			case len(s.Nodes) == 1:
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the cluster has one node, %s", s.Nodes[0].Name))
			case len(zones) == 0:
				v.NotChecked = fmt.Sprintf("none of %d nodes carries the label %s", len(s.Nodes), corev1.LabelTopologyZone)
			case len(zones) == 1 && unlabelled == 0:
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "all %d nodes are in zone %s", len(s.Nodes), zones[0]))
			case len(zones) == 1:
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "%d of %d nodes are in zone %s, and the others carry no zone", len(s.Nodes)-unlabelled, len(s.Nodes), zones[0]))
			}
			return v
		},
	}
}
