package availability

import (
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// EtcdEvenMembers finds etcd clusters with a member too many.
//
// etcd writes while more than half of its members agree. Two members tolerate
// the loss of none, as one does, and are lost twice as often; four tolerate one.
// https://etcd.io/docs/v3.6/faq/#why-an-odd-number-of-cluster-members
func EtcdEvenMembers() practice.Practice {
	return practice.Practice{
		ID:       "etcd-even-members",
		Title:    "Even number of etcd members",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "etcd writes while more than half of its members agree. An even member adds no tolerance and one more machine that can fail: " +
			"two members tolerate the loss of none, four that of one, as three do.",
		Judged: "etcd's own pods, as kubeadm, RKE2 and OpenShift run them, or the nodes with K3s' and RKE2's etcd role. One member is control-plane-single's. " +
			"Not judged where etcd cannot be seen.",
		Fix: "add or remove a member, so that there are three or five",
		Sources: []string{
			"https://etcd.io/docs/v3.6/faq/#why-an-odd-number-of-cluster-members",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Pods, cluster.Nodes},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			members := etcdMembers(s)
			if members == 0 {
				return practice.Verdict{NotChecked: "no etcd member can be seen in this cluster"}
			}
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			if members%2 == 0 {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "etcd has %d members, and tolerates the loss of %d, as %d members do", members, members/2-1, members-1))
			}
			return v
		},
	}
}

// etcdMembers counts etcd's pods, or where it runs in the distribution's own
// process, the nodes with its role.
func etcdMembers(s *cluster.Snapshot) int {
	pods, nodes := 0, 0
	for _, pod := range s.Pods {
		inSystem := pod.Namespace == "kube-system" && pod.Labels["component"] == "etcd"
		if inSystem || (pod.Namespace == "openshift-etcd" && pod.Labels["app"] == "etcd") {
			pods++
		}
	}
	for _, node := range s.Nodes {
		_, member := node.Labels["node-role.kubernetes.io/etcd"]
		if version := node.Status.NodeInfo.KubeletVersion; member && (strings.Contains(version, "+k3s") || strings.Contains(version, "+rke2")) {
			nodes++
		}
	}
	return max(pods, nodes)
}
