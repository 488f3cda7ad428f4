package plane

import (
	"crypto/x509"

	certutil "k8s.io/client-go/util/cert"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/pki"
)

// leaves are the certificates of a kubeadm cluster, and those of the two
// components that kubeadm does not know. extraIPs are further addresses at
// which the cluster can be reached.
func leaves(nodeName string, extraIPs ...string) []pki.Leaf {
	local := append([]string{"127.0.0.1", "::1"}, extraIPs...)
	hosts := []string{"localhost"}
	if nodeName != "" {
		hosts = append(hosts, nodeName)
	}
	apiserver := pki.Names(append(hosts, "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc."+clusterDomain), append(local, kubernetesServiceIP)...)
	metrics := pki.Names([]string{"localhost", "metrics-server.kube-system.svc"}, local...)

	return []pki.Leaf{
		serving("apiserver", pki.ClusterCA, "kube-apiserver", apiserver),
		serving("kwok", pki.ClusterCA, "kwok", pki.Names(hosts, local...)),
		serving("kubelet", pki.ClusterCA, "kubelet", pki.Names(hosts, local...)),
		serving("metrics-server", pki.ClusterCA, "metrics-server", metrics),
		serving("controller-manager", pki.ClusterCA, "kube-controller-manager", pki.Names(hosts, local...)),
		serving("scheduler", pki.ClusterCA, "kube-scheduler", pki.Names(hosts, local...)),
		client("apiserver-kubelet-client", pki.ClusterCA, "kube-apiserver-kubelet-client", "system:masters"),
		client("front-proxy-client", pki.FrontProxyCA, "front-proxy-client"),
		both("etcd/server", pki.EtcdCA, "etcd", pki.Names(hosts, local...)),
		both("etcd/peer", pki.EtcdCA, "etcd", pki.Names(hosts, local...)),
		client("etcd/healthcheck-client", pki.EtcdCA, "kube-etcd-healthcheck-client"),
		client("apiserver-etcd-client", pki.EtcdCA, "kube-apiserver-etcd-client"),
	}
}

func serving(name string, issuer pki.Authority, commonName string, names certutil.AltNames) pki.Leaf {
	return pki.Leaf{Name: name, Issuer: issuer, Config: certutil.Config{
		CommonName: commonName,
		AltNames:   names,
		Usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}}
}

func client(name string, issuer pki.Authority, commonName string, groups ...string) pki.Leaf {
	return pki.Leaf{Name: name, Issuer: issuer, Config: certutil.Config{
		CommonName:   commonName,
		Organization: groups,
		Usages:       []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}}
}

// both is for etcd, whose members are each other's clients.
func both(name string, issuer pki.Authority, commonName string, names certutil.AltNames) pki.Leaf {
	leaf := serving(name, issuer, commonName, names)
	leaf.Config.Usages = append(leaf.Config.Usages, x509.ExtKeyUsageClientAuth)
	return leaf
}
