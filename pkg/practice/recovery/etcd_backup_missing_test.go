package recovery

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

func TestWhereEtcdIsOutOfSightThereIsNoVerdict(t *testing.T) {
	node := func(kubelet string, labels ...string) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", Labels: map[string]string{}}}
		for _, label := range labels {
			n.Labels[label] = "true"
		}
		n.Status.NodeInfo.KubeletVersion = kubelet
		return n
	}
	for name, c := range map[string]struct {
		node       *corev1.Node
		notChecked string
	}{
		"EKS owns it":                         {node("v1.37.2-eks-1", "eks.amazonaws.com/nodegroup"), "(EKS): the provider owns etcd"},
		"GKE owns it":                         {node("v1.37.2-gke.1", "cloud.google.com/gke-nodepool"), "(GKE): the provider owns etcd"},
		"AKS owns it":                         {node("v1.37.2", "kubernetes.azure.com/cluster"), "(AKS): the provider owns etcd"},
		"it runs outside the cluster":         {node("v1.37.2"), "etcd runs outside it"},
		"K3s without the etcd role has none":  {node("v1.37.2+k3s1", "node-role.kubernetes.io/control-plane"), "SQLite or in an external database"},
		"K3s with the etcd role runs its own": {node("v1.37.2+k3s1", "node-role.kubernetes.io/etcd"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			verdict := EtcdBackupMissing().Check(&cluster.Snapshot{Nodes: []*corev1.Node{c.node}})
			if !strings.Contains(verdict.NotChecked, c.notChecked) || (c.notChecked == "") != (verdict.NotChecked == "") {
				t.Errorf("not checked: %q, want %q", verdict.NotChecked, c.notChecked)
			}
			if (len(verdict.Findings) == 0) != (c.notChecked != "") {
				t.Errorf("findings: %v", verdict.Findings)
			}
		})
	}
}
