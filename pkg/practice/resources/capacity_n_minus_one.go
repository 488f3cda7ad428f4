package resources

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// CapacityNMinusOne finds clusters that cannot lose a node.
//
// Nodes fail, and each upgrade takes one away at a time. What ran there needs
// room elsewhere at once: a cluster that is filled to the last node has an
// outage at the first failure.
// https://kubernetes.io/docs/concepts/architecture/nodes/
func CapacityNMinusOne() practice.Practice {
	return practice.Practice{
		ID:       "capacity-n-minus-one",
		Title:    "Cluster without room for the pods of a lost node",
		Chapter:  practice.Resources,
		Severity: report.Critical,
		Reason: "Nodes fail, and each upgrade takes one away at a time. What ran there needs room elsewhere at once: " +
			"a cluster that is filled to the last node has an outage at the first failure.",
		Judged: "An estimate, by addition alone: for each node, what its pods request (less those of DaemonSets and static pods, which stay with it) against what all other nodes have free. " +
			"Taints, affinity, volumes, and room that is free in pieces too small, are not looked at, so that a cluster that passes may still leave pods pending. " +
			"Only nodes that are ready, uncordoned and without a taint that keeps pods away are counted. Where each node can be lost, the same for a whole zone, as a warning. " +
			"A warning too where an autoscaler of nodes was found, which has to bring one first.",
		Fix: "add a node, or lower requests that are not used (request-oversized names them)",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/architecture/nodes/",
			"https://kubernetes.io/docs/setup/best-practices/multiple-zones/",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes, cluster.Pods},
		Check:        checkLoss,
	}
}

func checkLoss(s *cluster.Snapshot) practice.Verdict {
	nodes := rooms(s, func(node *corev1.Node) string { return node.Name })
	if len(nodes) == 0 {
		return practice.Verdict{NotChecked: noRoom}
	}
	v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
	severity, note := report.Critical, ""
	if scaler := nodeScaler(s); scaler != "" {
		severity, note = report.Warning, "; "+scaler+" would have to add a node first"
	}
	if said := worstLoss(nodes); said != "" {
		v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "estimate: without node %s%s", said, note).As(severity))
	} else if zones := rooms(s, zoneOf); len(zones) > 1 {
		if said := worstLoss(zones); said != "" {
			v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "estimate: without zone %s%s", said, note).As(report.Warning))
		}
	}
	return v
}

// worstLoss words the loss of the group after which most would have no place;
// "" when any can be lost.
func worstLoss(groups []*room) string {
	free := map[corev1.ResourceName]float64{}
	for _, g := range groups {
		for _, name := range counted() {
			free[name] += max(g.free(name), 0)
		}
	}
	var worst *room
	var most float64
	for _, g := range groups {
		short := 0.0 // in parts of what has to move
		for _, name := range counted() {
			if left := free[name] - max(g.free(name), 0); g.moving[name] > left {
				short += (g.moving[name] - left) / g.moving[name]
			}
		}
		if short > most {
			worst, most = g, short
		}
	}
	if worst == nil {
		return ""
	}
	var lacking []string
	for _, name := range counted() {
		if left := free[name] - max(worst.free(name), 0); worst.moving[name] > left {
			lacking = append(lacking, fmt.Sprintf("%s of %s (its pods request %s, and %s elsewhere)",
				amount(name, worst.moving[name]-left), spoken(name), amount(name, worst.moving[name]), amountFree(name, left)))
		}
	}
	return fmt.Sprintf("%s there is no place for %s", worst.name, strings.Join(lacking, " and "))
}

func amountFree(name corev1.ResourceName, left float64) string {
	if left <= 0 {
		return "nothing is free"
	}
	return amount(name, left) + " are free"
}

// nodeScaler names what adds nodes to the cluster, if it shows: a provider may
// run it out of sight.
func nodeScaler(s *cluster.Snapshot) string {
	for _, node := range s.Nodes {
		if _, ok := node.Labels["karpenter.sh/nodepool"]; ok {
			return "Karpenter"
		}
	}
	if slices.ContainsFunc(s.Workloads(), func(w *cluster.Workload) bool {
		return slices.ContainsFunc(w.Template.Spec.Containers, func(c corev1.Container) bool { return strings.Contains(c.Image, "/cluster-autoscaler") })
	}) {
		return "the cluster autoscaler"
	}
	return ""
}
