package availability

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ControlPlaneSingle finds clusters that one machine steers.
//
// While its only control-plane node is away, a cluster schedules nothing,
// replaces nothing that fails and answers no kubectl.
// https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/ha-topology/
func ControlPlaneSingle() practice.Practice {
	return practice.Practice{
		ID:       "control-plane-single",
		Title:    "One control-plane node",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "While its only control-plane node is away, a cluster schedules nothing, replaces nothing that fails and answers no kubectl; " +
			"when its disk is lost, so is the cluster's state.",
		Judged: "The nodes that carry node-role.kubernetes.io/control-plane (or master, its former name): at least three, or two with etcd elsewhere. " +
			"Not judged where no node has the role: a managed or separate control plane cannot be counted from here.",
		Fix: "join two more control-plane nodes, so that etcd keeps its quorum when one is lost",
		Sources: []string{
			"https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/ha-topology/",
			"https://kubernetes.io/docs/setup/production-environment/#production-control-plane",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var steering []*corev1.Node
			for _, node := range s.Nodes {
				if isControlPlane(node) {
					steering = append(steering, node)
				}
			}
			if len(steering) == 0 {
				return practice.Verdict{NotChecked: "no node has the control-plane role: the control plane is managed, or runs outside the cluster"}
			}
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			if len(steering) == 1 {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "node %s alone runs the control plane of %d nodes", steering[0].Name, len(s.Nodes)))
			}
			return v
		},
	}
}

func isControlPlane(node *corev1.Node) bool {
	for _, label := range []string{"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"} {
		if _, has := node.Labels[label]; has {
			return true
		}
	}
	return false
}
