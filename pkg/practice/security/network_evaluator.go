package security

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// endpoint is one side of an edge: pods that share their labels or, where
// Address is set, an address outside the pod network.
type endpoint struct {
	namespace       string
	namespaceLabels labels.Set
	labels          labels.Set
	// address is where a connection comes from that no selector matches: a
	// node's, a load balancer's; the zero Prefix /0 stands for any.
	address netip.Prefix
}

// anywhere is every address outside the pod network.
func anywhere() endpoint { return endpoint{address: netip.MustParsePrefix("0.0.0.0/0")} }

// edge is a connection that is known to be needed.
type edge struct {
	from     endpoint
	to       *cluster.Workload
	port     intstr.IntOrString // the zero value is every port
	protocol corev1.Protocol
	why      string
}

func (e edge) String() string {
	port := e.port.String()
	if e.port == (intstr.IntOrString{}) {
		port = "every port"
	}
	return fmt.Sprintf("%s, to %s on %s", e.why, e.to.Self, port)
}

// lets reports whether policies let an edge's connection in, as the API defines
// it: who is selected by no policy for ingress is open; else one rule of one of
// the policies that select it must match both peer and port. Pods on their
// node's network are beyond policies.
// https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
func lets(policies []*networkingv1.NetworkPolicy, e edge) bool {
	if e.to.Template.Spec.HostNetwork {
		return true
	}
	isolated := false
	for _, policy := range policies {
		if policy.Namespace != e.to.Self.Namespace || !governs(policy, networkingv1.PolicyTypeIngress) || !matches(&policy.Spec.PodSelector, e.to.Template.Labels) {
			continue
		}
		isolated = true
		if slices.ContainsFunc(policy.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
			return fromPeers(rule.From, policy.Namespace, e.from) && onPorts(rule.Ports, e)
		}) {
			return true
		}
	}
	return !isolated
}

// fromPeers reports whether a rule's peers include an endpoint.
func fromPeers(peers []networkingv1.NetworkPolicyPeer, own string, from endpoint) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		switch {
		case peer.IPBlock != nil:
			return from.address.IsValid() && covers(peer.IPBlock, from.address)
		case from.address.IsValid():
			return false
		case peer.NamespaceSelector == nil && from.namespace != own, peer.NamespaceSelector != nil && !matches(peer.NamespaceSelector, from.namespaceLabels):
			return false
		}
		return peer.PodSelector == nil || matches(peer.PodSelector, from.labels)
	})
}

// covers reports whether a block lets in all of an address range.
func covers(block *networkingv1.IPBlock, from netip.Prefix) bool {
	cidr, err := netip.ParsePrefix(block.CIDR)
	if err != nil || cidr.Bits() > from.Bits() || !cidr.Contains(from.Addr()) {
		return false
	}
	return !slices.ContainsFunc(block.Except, func(except string) bool {
		hole, err := netip.ParsePrefix(except)
		return err != nil || hole.Overlaps(from)
	})
}

// onPorts reports whether a rule's ports include that of an edge; a port's name
// is looked up in the pod, as it is where the rule is enforced.
func onPorts(ports []networkingv1.NetworkPolicyPort, e edge) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(port networkingv1.NetworkPolicyPort) bool {
		if protocolOf(port.Protocol) != protocolOf(&e.protocol) {
			return false
		}
		if port.Port == nil {
			return true
		}
		if e.port == (intstr.IntOrString{}) {
			return false
		}
		ruled, known := portNumber(e.to, *port.Port)
		needed, found := portNumber(e.to, e.port)
		if !known || !found {
			return *port.Port == e.port
		}
		if port.EndPort != nil {
			return ruled <= needed && needed <= *port.EndPort
		}
		return ruled == needed
	})
}

// portNumber is a port of a Workload's pods; false for a name that none of its
// containers gives to a port.
func portNumber(w *cluster.Workload, port intstr.IntOrString) (int32, bool) {
	if port.Type == intstr.Int {
		return port.IntVal, true
	}
	for c := range w.Containers() {
		for _, p := range c.Ports {
			if p.Name == port.StrVal {
				return p.ContainerPort, true
			}
		}
	}
	return 0, false
}

func protocolOf(protocol *corev1.Protocol) corev1.Protocol {
	if protocol == nil || *protocol == "" {
		return corev1.ProtocolTCP
	}
	return *protocol
}

// matches reports whether a selector matches labels; an empty one matches all.
func matches(selector *metav1.LabelSelector, set labels.Set) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(set)
}
