package recovery

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// etcdOutOfSight says why this cluster's etcd cannot be judged from here; ""
// when it can: its pods are visible, or K3s runs it in its own process.
func etcdOutOfSight(s *cluster.Snapshot) string {
	if runsEtcdPods(s) {
		return ""
	}
	lightweight := false
	for _, node := range s.Nodes {
		if provider := managedBy(node); provider != "" {
			return "a managed control plane (" + provider + "): the provider owns etcd and its backups"
		}
		version := node.Status.NodeInfo.KubeletVersion
		if strings.Contains(version, "+k3s") || strings.Contains(version, "+rke2") {
			if _, member := node.Labels["node-role.kubernetes.io/etcd"]; member {
				return ""
			}
			lightweight = true
		}
	}
	if lightweight {
		return "no node has the etcd role: this K3s keeps its state in SQLite or in an external database, whose backups cannot be seen from here"
	}
	return "no etcd pod in this cluster: etcd runs outside it, and its backups cannot be seen from here"
}

// runsEtcdPods reports whether etcd's own pods are in the cluster.
func runsEtcdPods(s *cluster.Snapshot) bool { return slices.ContainsFunc(s.Pods, isEtcd) }

// managedBy names the provider whose managed nodes carry labels of its own.
func managedBy(node *corev1.Node) string {
	for label := range node.Labels {
		switch {
		case strings.HasPrefix(label, "eks.amazonaws.com/"):
			return "EKS"
		case strings.HasPrefix(label, "cloud.google.com/gke-"):
			return "GKE"
		case strings.HasPrefix(label, "kubernetes.azure.com/"):
			return "AKS"
		}
	}
	return ""
}
