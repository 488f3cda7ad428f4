package plane

import (
	"fmt"
	"strconv"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/pki"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/proc"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/state"
)

// Addresses inside the cluster. The simulated nodes and pods have addresses
// that nothing routes.
const (
	serviceRange        = "10.96.0.0/16"
	kubernetesServiceIP = "10.96.0.1"
	clusterDNSIP        = "10.96.0.10"
	clusterDomain       = "cluster.local"
	simulatedPodRange   = "10.128.0.0/9"
	// simulatedServerIP is advertised where no real pod could reach the API
	// server anyway: a loopback address is not allowed there.
	simulatedServerIP = "10.0.0.1"
)

// The keys of state.Settings.Ports.
const (
	portEtcd              = "etcd"
	portEtcdPeer          = "etcd-peer"
	portEtcdMetrics       = "etcd-metrics"
	portAPIServer         = "kube-apiserver"
	portControllerManager = "kube-controller-manager"
	portScheduler         = "kube-scheduler"
	portKwok              = "kwok"
	portMetricsServer     = "metrics-server"
	portKubelet           = "kubelet"
	portKubeletHealth     = "kubelet-health"
	portContainerd        = "containerd"
	portProxyHealth       = "kube-proxy-health"
	portProxyMetrics      = "kube-proxy-metrics"
)

func portNames() []string {
	return []string{
		portEtcd, portEtcdPeer, portEtcdMetrics, portAPIServer, portControllerManager, portScheduler,
		portKwok, portMetricsServer, portKubelet, portKubeletHealth, portContainerd, portProxyHealth, portProxyMetrics,
	}
}

// component is a process of the control plane on the host.
type component struct {
	name   string // also of the program
	args   []string
	env    []string
	health string // URL that answers 200 when the component does its work
}

func (c component) spec(programs map[string]string) proc.Spec {
	return proc.Spec{Name: c.name, Path: programs[c.name], Args: c.args, Env: c.env}
}

// layout knows everything that the arguments of the components depend on.
type layout struct {
	dir      state.Dir
	settings state.Settings
}

func (l layout) port(name string) string { return strconv.Itoa(l.settings.Ports[name]) }

func (l layout) url(scheme, port, path string) string {
	return fmt.Sprintf("%s://127.0.0.1:%s%s", scheme, l.port(port), path)
}

// etcd runs as a process where there is no real node, and there as a static pod
// with the same arguments.
func (l layout) etcd() component {
	return component{
		name:   "etcd",
		health: l.url("http", portEtcdMetrics, "/readyz"),
		args:   l.etcdArgs(l.dir.PKI(), l.dir.EtcdData(), "127.0.0.1"),
	}
}

// etcdArgs are kubeadm's. A member that advertises another address than
// loopback listens on both.
func (l layout) etcdArgs(pki pki.Dir, data, advertise string) []string {
	clientURL := fmt.Sprintf("https://%s:%s", advertise, l.port(portEtcd))
	listen := l.url("https", portEtcd, "")
	if clientURL != listen {
		listen += "," + clientURL
	}
	peer := fmt.Sprintf("https://%s:%s", advertise, l.port(portEtcdPeer))
	args := []string{
		"--name=" + etcdMember,
		"--data-dir=" + data,
		"--listen-client-urls=" + listen,
		"--advertise-client-urls=" + clientURL,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=" + etcdMember + "=" + peer,
		"--listen-metrics-urls=" + l.url("http", portEtcdMetrics, ""),
		"--cert-file=" + pki.Cert("etcd/server"),
		"--key-file=" + pki.Key("etcd/server"),
		"--trusted-ca-file=" + pki.Cert("etcd/ca"),
		"--client-cert-auth=true",
		"--peer-cert-file=" + pki.Cert("etcd/peer"),
		"--peer-key-file=" + pki.Key("etcd/peer"),
		"--peer-trusted-ca-file=" + pki.Cert("etcd/ca"),
		"--peer-client-cert-auth=true",
		"--snapshot-count=10000",
		"--watch-progress-notify-interval=5s",
	}
	if l.settings.Fast {
		args = append(args, "--unsafe-no-fsync", "--quota-backend-bytes=8589934592")
	}
	return args
}

// apiServer has kubeadm's flags. Aggregated APIs are reached by resolving their
// Service, whose ExternalName may be this machine; that is why aggregator
// routing stays off.
func (l layout) apiServer() component {
	pki := l.dir.PKI()
	return component{name: "kube-apiserver", health: l.url("https", portAPIServer, "/readyz"), args: append([]string{
		"--bind-address=" + l.bindAddress(),
		"--advertise-address=" + l.advertiseAddress(),
		"--secure-port=" + l.port(portAPIServer),
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",
		"--client-ca-file=" + pki.Cert("ca"),
		"--enable-admission-plugins=NodeRestriction",
		"--enable-bootstrap-token-auth=true",
		"--etcd-servers=" + l.url("https", portEtcd, ""),
		"--etcd-cafile=" + pki.Cert("etcd/ca"),
		"--etcd-certfile=" + pki.Cert("apiserver-etcd-client"),
		"--etcd-keyfile=" + pki.Key("apiserver-etcd-client"),
		"--kubelet-certificate-authority=" + pki.Cert("ca"),
		"--kubelet-client-certificate=" + pki.Cert("apiserver-kubelet-client"),
		"--kubelet-client-key=" + pki.Key("apiserver-kubelet-client"),
		"--kubelet-preferred-address-types=" + kubeletAddressTypes,
		"--proxy-client-cert-file=" + pki.Cert("front-proxy-client"),
		"--proxy-client-key-file=" + pki.Key("front-proxy-client"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-client-ca-file=" + pki.Cert("front-proxy-ca"),
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--service-account-issuer=https://kubernetes.default.svc." + clusterDomain,
		"--service-account-key-file=" + pki.ServiceAccountPublicKey(),
		"--service-account-signing-key-file=" + pki.Key("sa"),
		"--service-cluster-ip-range=" + serviceRange,
		"--tls-cert-file=" + pki.Cert("apiserver"),
		"--tls-private-key-file=" + pki.Key("apiserver"),
		"--profiling=false",
	}, append(l.encryption(), l.audit()...)...)}
}

func (l layout) bindAddress() string {
	if l.settings.Node {
		return "0.0.0.0" // pods reach it at the node's address
	}
	return "127.0.0.1"
}

func (l layout) advertiseAddress() string {
	if l.settings.Node {
		return l.settings.NodeIP
	}
	return simulatedServerIP
}

// controllerManager does not elect a leader: there is one, and after a restore
// it would wait for the lease of its predecessor to run out.
func (l layout) controllerManager() component {
	pki := l.dir.PKI()
	kubeconfig := l.dir.ComponentKubeconfig("controller-manager")
	return component{name: "kube-controller-manager", health: l.url("https", portControllerManager, "/healthz"), args: append([]string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + l.port(portControllerManager),
		"--tls-cert-file=" + pki.Cert("controller-manager"),
		"--tls-private-key-file=" + pki.Key("controller-manager"),
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--client-ca-file=" + pki.Cert("ca"),
		"--requestheader-client-ca-file=" + pki.Cert("front-proxy-ca"),
		"--cluster-signing-cert-file=" + pki.Cert("ca"),
		"--cluster-signing-key-file=" + pki.Key("ca"),
		"--root-ca-file=" + pki.Cert("ca"),
		"--service-account-private-key-file=" + pki.Key("sa"),
		"--service-cluster-ip-range=" + serviceRange,
		"--controllers=*,bootstrapsigner,tokencleaner",
		"--use-service-account-credentials=true",
		"--leader-elect=false",
		"--profiling=false",
		// It would create the directory, by default below /usr.
		"--flex-volume-plugin-dir=" + l.dir.Run("volume-plugins"),
	}, append(l.rateLimits(), l.patience()...)...)}
}

func (l layout) scheduler() component {
	pki := l.dir.PKI()
	kubeconfig := l.dir.ComponentKubeconfig("scheduler")
	return component{name: "kube-scheduler", health: l.url("https", portScheduler, "/readyz"), args: append([]string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + l.port(portScheduler),
		"--tls-cert-file=" + pki.Cert("scheduler"),
		"--tls-private-key-file=" + pki.Key("scheduler"),
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--leader-elect=false",
		"--profiling=false",
	}, l.rateLimits()...)}
}

func (l layout) rateLimits() []string {
	if !l.settings.Fast {
		return nil
	}
	return []string{"--kube-api-qps=2000", "--kube-api-burst=4000"}
}

// patience keeps a fleet whole on a busy machine: where a thousand leases are
// late, the controller manager would mark all their pods as not ready, and KWOK
// never marks them ready again.
func (l layout) patience() []string {
	if !l.settings.Fast {
		return nil
	}
	return []string{"--node-monitor-grace-period=1h"}
}

// leaseSeconds is long in fleets, where renewals would be most of the writes.
func (l layout) leaseSeconds() int {
	if l.settings.Fast {
		return 3600
	}
	return 40
}

func (l layout) kwok() component {
	pki := l.dir.PKI()
	return component{name: "kwok", health: l.url("https", portKwok, "/healthz"), args: []string{
		"--config=" + l.dir.Config("kwok.yaml"),
		"--kubeconfig=" + l.dir.ComponentKubeconfig("kwok"),
		"--manage-all-nodes=false",
		"--manage-nodes-with-annotation-selector=" + simulatedNodeAnnotation + "=fake",
		"--cidr=" + simulatedPodRange,
		"--node-port=" + l.port(portKwok),
		"--server-address=127.0.0.1:" + l.port(portKwok),
		"--tls-cert-file=" + pki.Cert("kwok"),
		"--tls-private-key-file=" + pki.Key("kwok"),
		fmt.Sprintf("--node-lease-duration-seconds=%d", l.leaseSeconds()),
	}}
}

// metricsServer asks often, so that usage is there soon after `up`; for fleets
// it asks seldom, since every question costs a pass over the fleet.
func (l layout) metricsServer() component {
	pki := l.dir.PKI()
	kubeconfig := l.dir.ComponentKubeconfig("metrics-server")
	resolution, patience := "10s", "5s" // the least that metrics-server accepts
	if l.settings.Fast {
		// All nodes are asked at once, and one KWOK answers for all of them: on two
		// cores a thousand take half a minute.
		resolution, patience = "60s", "50s"
	}
	return component{name: "metrics-server", health: l.url("https", portMetricsServer, "/livez"), args: []string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + l.port(portMetricsServer),
		"--tls-cert-file=" + pki.Cert("metrics-server"),
		"--tls-private-key-file=" + pki.Key("metrics-server"),
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--kubelet-certificate-authority=" + pki.Cert("ca"),
		"--kubelet-preferred-address-types=" + kubeletAddressTypes,
		"--kubelet-use-node-status-port",
		"--kubelet-request-timeout=" + patience,
		"--metric-resolution=" + resolution,
	}}
}
