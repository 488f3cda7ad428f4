package plane

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	simulatedNodeAnnotation = "kwok.x-k8s.io/node"
	// metricsPathAnnotation tells metrics-server where KWOK serves a node's metrics.
	metricsPathAnnotation = "metrics.k8s.io/resource-metrics-path"
	region                = "eu-west-1"
	// kubeletAddressTypes puts InternalDNS first: the simulated nodes carry
	// lifelike addresses that nothing routes, and "localhost" as InternalDNS,
	// where KWOK answers for them all.
	kubeletAddressTypes = "InternalDNS,InternalIP,Hostname"
	atOnce              = 16 // requests while nodes are made
)

// ensureNodes creates the simulated nodes that are missing and tells those that
// a snapshot brought back where KWOK listens now.
func (c *cluster) ensureNodes(ctx context.Context) error {
	existing, err := c.clients.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	present := map[string]bool{}
	for i := range existing.Items {
		node := &existing.Items[i]
		present[node.Name] = true
		if node.Annotations[simulatedNodeAnnotation] == "fake" && c.kubeletPort(node) != c.settings.Ports[portKwok] {
			group.Go(func() error { return c.moveNode(ctx, node.Name) })
		}
	}
	for i := range c.settings.Nodes {
		if node := c.simulatedNode(i); !present[node.Name] {
			group.Go(func() error { return c.createNode(ctx, node) })
		}
	}
	return group.Wait()
}

func (c *cluster) kubeletPort(node *corev1.Node) int {
	return int(node.Status.DaemonEndpoints.KubeletEndpoint.Port)
}

func (c *cluster) createNode(ctx context.Context, node *corev1.Node) error {
	_, err := c.clients.typed.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating node %s: %w", node.Name, err)
	}
	return nil
}

func (c *cluster) moveNode(ctx context.Context, name string) error {
	patch, err := json.Marshal(corev1.Node{Status: corev1.NodeStatus{DaemonEndpoints: c.daemonEndpoints()}})
	if err != nil {
		return fmt.Errorf("encoding a node's port: %w", err)
	}
	_, err = c.clients.typed.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("updating the port of node %s: %w", name, err)
	}
	return nil
}

func (c *cluster) daemonEndpoints() corev1.NodeDaemonEndpoints {
	port := int32(c.settings.Ports[portKwok])
	return corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: port}}
}

// zones are those of the simulated nodes; a real node has the first to itself.
func (c *cluster) zones() []string {
	if c.settings.Node {
		return []string{"b", "c"}
	}
	return []string{"a", "b", "c"}
}

// simulatedNode is the i-th node: worker-a1, worker-b1, worker-c1, worker-a2 and
// so on, each as large as a common cloud machine of 8 CPUs and 32 GiB.
func (c *cluster) simulatedNode(i int) *corev1.Node {
	zones := c.zones()
	zone, ordinal := zones[i%len(zones)], i/len(zones)+1
	name := "worker-" + zone + strconv.Itoa(ordinal)
	podCIDR := fmt.Sprintf("10.%d.%d.0/24", 128+i/256, i%256)
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:   name,
			Labels: nodeLabels(name, region+zone),
			Annotations: map[string]string{
				simulatedNodeAnnotation: "fake",
				metricsPathAnnotation:   "/metrics/nodes/" + name + "/metrics/resource",
			},
		},
		Spec: corev1.NodeSpec{
			PodCIDR:    podCIDR,
			PodCIDRs:   []string{podCIDR},
			ProviderID: "kwok://" + region + zone + "/" + name,
		},
		Status: corev1.NodeStatus{
			Capacity:        resources("8", "32786892Ki"),
			Allocatable:     resources("7910m", "30620092Ki"),
			DaemonEndpoints: c.daemonEndpoints(),
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.1.%d.%d", i/250, i%250+4)},
				{Type: corev1.NodeInternalDNS, Address: "localhost"},
				{Type: corev1.NodeHostName, Address: name},
			},
			NodeInfo: corev1.NodeSystemInfo{
				Architecture:            "amd64",
				OperatingSystem:         "linux",
				OSImage:                 "Debian GNU/Linux 12 (bookworm)",
				KernelVersion:           "6.1.0-39-cloud-amd64",
				ContainerRuntimeVersion: "containerd://2.4.2",
				KubeletVersion:          c.version,
				KubeProxyVersion:        c.version,
			},
		},
	}
}

func nodeLabels(name, zone string) map[string]string {
	return map[string]string{
		corev1.LabelHostname:           name,
		corev1.LabelOSStable:           "linux",
		corev1.LabelArchStable:         "amd64",
		corev1.LabelInstanceTypeStable: "m6i.2xlarge",
		corev1.LabelTopologyRegion:     region,
		corev1.LabelTopologyZone:       zone,
	}
}

func resources(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse(cpu),
		corev1.ResourceMemory:           resource.MustParse(memory),
		corev1.ResourcePods:             resource.MustParse("110"),
		corev1.ResourceEphemeralStorage: resource.MustParse("83873772Ki"),
	}
}
