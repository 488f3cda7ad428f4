package system

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// sign is how a distribution shows on a node.
type sign struct {
	name, effect string
	// version is part of the kubelet's version; label a label's prefix;
	// provider the scheme of the providerID; os part of the OS image.
	version, label, provider, os string
}

const (
	managed = "its provider owns etcd and the control plane: their practices do not apply"
	ownEtcd = "its own etcd backups count"
)

// signs are the distributions that nodes show, the particular before the
// general: kind and minikube are made with kubeadm.
func signs() []sign {
	return []sign{
		{name: "K3s", version: "+k3s", effect: ownEtcd},
		{name: "RKE2", version: "+rke2", effect: ownEtcd},
		{name: "EKS", version: "-eks-", label: "eks.amazonaws.com/", effect: managed},
		{name: "GKE", version: "-gke.", label: "cloud.google.com/gke-", effect: managed},
		{name: "AKS", label: "kubernetes.azure.com/", effect: managed},
		{name: "MicroK8s", label: "microk8s.io/", effect: "its datastore is dqlite unless etcd was chosen"},
		{name: "Talos", os: "Talos", effect: "etcd is backed up with talosctl etcd snapshot"},
		{name: "kind", provider: "kind://", effect: "a test cluster"},
		{name: "minikube", label: "minikube.k8s.io/", effect: "a test cluster"},
	}
}

// distribution tells what the cluster was made with.
func distribution(s *cluster.Snapshot) report.System {
	item := report.System{Name: "Kubernetes", Version: s.Origin.Version, Health: nodesHealth(s.Nodes), Effect: "all practices apply"}
	if s.Serves("clusterversions.config.openshift.io") {
		item.Name, item.Effect = "OpenShift", "its own etcd backups count"
		item.Evidence = []string{"API clusterversions.config.openshift.io"}
		return item
	}
	for _, sign := range signs() {
		if at := slices.IndexFunc(s.Nodes, sign.shows); at >= 0 {
			item.Name, item.Effect = sign.name, sign.effect
			item.Evidence = []string{"node " + s.Nodes[at].Name}
			return item
		}
	}
	kubeadm := cluster.Ref{APIVersion: "v1", Kind: "ConfigMap", Namespace: "kube-system", Name: "kubeadm-config"}
	if s.Object(kubeadm) != nil {
		item.Name = "kubeadm"
		item.Evidence = []string{kubeadm.String() + " in kube-system"}
	} else if at := slices.IndexFunc(s.Pods, annotatedByKubeadm); at >= 0 {
		item.Name = "kubeadm"
		item.Evidence = []string{"pod/" + s.Pods[at].Name + " in kube-system"}
	}
	return item
}

// annotatedByKubeadm holds for its static pods of etcd and the API server
// (kubernetes: cmd/kubeadm/app/constants, EtcdAdvertiseClientUrlsAnnotationKey,
// KubeAPIServerAdvertiseAddressEndpointAnnotationKey). RKE2 and Talos, whose pods
// are alike, are told by their nodes.
func annotatedByKubeadm(pod *cluster.Pod) bool {
	if pod.Namespace != "kube-system" {
		return false
	}
	return pod.Annotations["kubeadm.kubernetes.io/etcd.advertise-client-urls"] != "" ||
		pod.Annotations["kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint"] != ""
}

func (sign sign) shows(node *corev1.Node) bool {
	if sign.version != "" && strings.Contains(node.Status.NodeInfo.KubeletVersion, sign.version) ||
		sign.provider != "" && strings.HasPrefix(node.Spec.ProviderID, sign.provider) ||
		sign.os != "" && strings.Contains(node.Status.NodeInfo.OSImage, sign.os) {
		return true
	}
	for label := range node.Labels {
		if sign.label != "" && strings.HasPrefix(label, sign.label) {
			return true
		}
	}
	return false
}
