package plane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/machine"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/pki"
)

func (c *cluster) machine() machine.Machine {
	return machine.Machine{Dir: c.dir, Settings: c.settings, Programs: c.programs, Progress: c.progress}
}

func (c *cluster) prepareMachine(ctx context.Context) error {
	node := c.machine()
	if err := node.InstallPackages(ctx); err != nil {
		return err
	}
	return node.Configure(ctx, machine.Network{DNS: clusterDNSIP, Domain: clusterDomain})
}

// etcdAddress is where the member's clients and peers find it.
func (l layout) etcdAddress() string {
	if l.settings.Node {
		return l.settings.NodeIP
	}
	return "127.0.0.1"
}

func (l layout) containerd() component {
	return component{
		name:   "containerd",
		health: l.url("http", portContainerd, "/v1/metrics"),
		args:   []string{"--config=" + l.dir.Config("containerd.toml")},
		// It looks for its shim there.
		env: []string{"PATH=" + l.dir.Bin() + string(os.PathListSeparator) + os.Getenv("PATH")},
	}
}

// kubelet may not give itself labels of the node-role.kubernetes.io group; those
// are set through the API.
func (l layout) kubelet() component {
	return component{name: "kubelet", health: l.url("http", portKubeletHealth, "/healthz"), args: []string{
		"--config=" + l.dir.Config("kubelet.yaml"),
		"--kubeconfig=" + l.dir.ComponentKubeconfig("kubelet"),
		"--root-dir=" + machine.KubeletRoot,
		"--cert-dir=" + machine.KubeletRoot + "/pki",
		"--hostname-override=" + machine.NodeName,
		"--node-ip=" + machine.NodeIP,
		"--node-labels=" + realNodeLabels,
	}}
}

func (l layout) kubeProxy() component {
	return component{
		name:   "kube-proxy",
		health: l.url("http", portProxyHealth, "/livez"),
		args:   []string{"--config=" + l.dir.Config("kube-proxy.yaml")},
	}
}

// finishRealNode gives the node the role that the kubelet may not give itself,
// and waits until names resolve and etcd's pod can be found.
func (c *cluster) finishRealNode(ctx context.Context) error {
	role := []byte(`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`)
	nodes := c.clients.typed.CoreV1().Nodes()
	err := wait.PollUntilContextTimeout(ctx, pollInterval, startTimeout, true, func(ctx context.Context) (bool, error) {
		_, err := nodes.Patch(ctx, machine.NodeName, types.MergePatchType, role, metav1.PatchOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil // the kubelet has not registered yet
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("labelling node %s: %w", machine.NodeName, err)
	}
	if err := c.startAll(ctx, c.kubeProxy()); err != nil {
		return err
	}
	if err := c.awaitDNS(ctx); err != nil {
		return err
	}
	return c.awaitEtcdPod(ctx)
}

func (c *cluster) awaitDNS(ctx context.Context) error {
	deployments := c.clients.typed.AppsV1().Deployments(metav1.NamespaceSystem)
	err := wait.PollUntilContextTimeout(ctx, pollInterval, startTimeout, true, func(ctx context.Context) (bool, error) {
		dns, err := deployments.Get(ctx, "coredns", metav1.GetOptions{})
		return err == nil && dns.Status.AvailableReplicas > 0, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the cluster's DNS: %w", err)
	}
	return nil
}

// awaitEtcdPod waits until the API shows etcd's static pod, which the kubelet
// tries to register only now and then.
func (c *cluster) awaitEtcdPod(ctx context.Context) error {
	pods := c.clients.typed.CoreV1().Pods(metav1.NamespaceSystem)
	err := wait.PollUntilContextTimeout(ctx, pollInterval, startTimeout, true, func(ctx context.Context) (bool, error) {
		pod, err := pods.Get(ctx, "etcd-"+machine.NodeName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && podReady(pod), err
	})
	if err != nil {
		return fmt.Errorf("waiting for etcd's pod to be shown: %w", err)
	}
	return nil
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

const realNodeLabels = "topology.kubernetes.io/region=" + region +
	",topology.kubernetes.io/zone=" + region + "a" +
	",node.kubernetes.io/instance-type=m6i.2xlarge"

func (c *cluster) startContainerd(ctx context.Context) error {
	if err := c.startAll(ctx, c.containerd()); err != nil {
		return err
	}
	return c.machine().ImportImages(ctx)
}

// startKubelet waits until the kubelet has brought etcd up, since the API server
// would not wait as long.
func (c *cluster) startKubelet(ctx context.Context) error {
	if err := c.machine().WriteEtcd(machine.Etcd{
		AdvertiseURL: fmt.Sprintf("https://%s:%s", c.etcdAddress(), c.port(portEtcd)),
		Args:         c.etcdArgs(pki.Dir("/etc/kubernetes/pki"), "/var/lib/etcd", c.etcdAddress()),
		MetricsPort:  c.settings.Ports[portEtcdMetrics],
	}); err != nil {
		return err
	}
	if err := c.startAll(ctx, c.kubelet()); err != nil {
		return err
	}
	if err := c.awaitHealthy(ctx, c.etcd(), nil); err != nil {
		return errors.Join(err, errors.New("etcd is a static pod; the end of the kubelet's log:\n"+c.dir.Processes().Tail("kubelet", 15)))
	}
	return nil
}
