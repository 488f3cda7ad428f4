package resources

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// NodeOvercommitted finds zones whose nodes are spoken for.
//
// The scheduler counts requests, not use. Where nearly all is requested, a
// rollout's extra pods wait, and so do those of a node that fails, however idle
// the others look.
// https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
func NodeOvercommitted() practice.Practice {
	return practice.Practice{
		ID:       "node-overcommitted",
		Title:    "Zone whose nodes are nearly all requested",
		Chapter:  practice.Resources,
		Severity: report.Warning,
		Reason: "The scheduler counts requests, not use. Where nearly all of a zone is requested, a rollout's extra pods wait, " +
			"and so do those of a node that fails, however idle the others look.",
		Judged: "The requests of all pods that have not ended, against what their nodes can allocate, by zone (topology.kubernetes.io/zone), or over all nodes where they have none: more than 90 %. " +
			"Only nodes that are ready, uncordoned and without a taint that keeps pods away are counted.",
		Fix: "add a node to the zone, or lower requests that are not used (request-oversized names them)",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/",
			"https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/#node-allocatable",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes, cluster.Pods},
		Thresholds:   practice.Thresholds{{Name: "percent", Value: 90, Meaning: "of a zone's allocatable CPU or memory, above which there is no room for a rollout"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			zones := rooms(s, zoneOf)
			if len(zones) == 0 {
				return practice.Verdict{NotChecked: noRoom}
			}
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			for _, zone := range zones {
				where := "in zone " + zone.name
				if zone.name == "" {
					where = "without a zone"
				}
				for _, name := range counted() {
					share := 100 * zone.requested[name] / max(zone.allocatable[name], 1e-9)
					if share > by.Of("percent") {
						v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "of the %s of %s %s, %.0f %% is requested (%s of %s)",
							spoken(name), plural(zone.nodes, "node"), where, share, amount(name, zone.requested[name]), amount(name, zone.allocatable[name])))
					}
				}
			}
			return v
		},
	}
}
