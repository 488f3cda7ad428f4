package security

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// isolates is what the remedy of both practices about isolation writes.
func isolates() *practice.Remedy {
	return &practice.Remedy{
		Does: "creates a NetworkPolicy that denies ingress to the namespace by default, together with those that allow what is known to be needed: each Service's ports from the namespace itself, from ingress controllers and gateways, " +
			"from anywhere for LoadBalancer and NodePort Services, from the workloads of other namespaces in whose settings or ConfigMaps its address stands; a StatefulSet's pods from each other; metrics from what scrapes. " +
			"All known edges are held against the new policies first. Refused where an edge would be lost, in a namespace in which a webhook or an aggregated API is answered, in a service mesh, where traffic may enter by routes that are not read, " +
			"when the run does not see all namespaces; and for egress",
		Uses: []cluster.Kind{
			cluster.Services, cluster.Ingresses, cluster.Namespaces, cluster.ConfigMapData, cluster.ValidatingWebhooks, cluster.MutatingWebhooks, cluster.APIServices, cluster.Definitions,
			cluster.HTTPRoutes, cluster.GRPCRoutes, cluster.Prometheuses, cluster.ReplicaSets,
		},
		Everywhere: true,
		Propose:    isolate,
	}
}

// isolate denies ingress to a namespace but for the edges that are known.
func isolate(s *cluster.Snapshot, f practice.Finding) practice.Proposal {
	namespace := f.Object.Namespace
	if f.Object.Kind == "Namespace" {
		namespace = f.Object.Name
	}
	if f.Severity == report.Info { // the practices tell of egress as info
		return practice.Refuse("what its pods call outside their namespace cannot be seen from here (addresses in Secrets, in files, in code): deny egress by hand, after ingress")
	}
	if why := unfit(s, namespace); why != "" {
		return practice.Refuse("%s", why)
	}
	edges, allows := derive(s, namespace)
	deny := policyIn(namespace, "default-deny-ingress", metav1.LabelSelector{}, nil)
	all := append(slices.Clone(s.NetworkPolicies), deny)
	all = append(all, allows...)
	for _, e := range edges {
		if lets(s.NetworkPolicies, e) && !lets(all, e) {
			return practice.Refuse("%s would be cut off", e)
		}
	}
	var changes []change.Change
	for _, policy := range append(allows, deny) { // what allows first, what denies last
		if slices.ContainsFunc(s.NetworkPolicies, func(p *networkingv1.NetworkPolicy) bool { return p.Namespace == namespace && p.Name == policy.Name }) {
			return practice.Refuse("a NetworkPolicy named %s is there already: rename it, or finish it by hand", policy.Name)
		}
		spec := mend.AsMap(&policy.Spec)
		changes = append(changes, change.Change{Object: policyRef(policy), Create: map[string]any{"spec": spec}})
	}
	var known []string
	for _, e := range edges {
		if e.from.namespace != namespace {
			known = append(known, e.String())
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	said := fmt.Sprintf("%d known edges hold under the new policies", len(edges))
	if len(known) > 0 {
		said += "; from outside the namespace: " + strings.Join(known, "; ")
	}
	risk := "callers in other namespaces whose addresses stand in Secrets, files or code are not known, and are cut off; so are pods of one namespace that talk to each other past their Services"
	if !s.Origin.Live {
		risk += "; so are all callers that these manifests do not hold"
	}
	return practice.Propose(changes...).Because("%s", said).Risking("%s", risk)
}

// unfit says why a namespace is not to be isolated by what can be known of it.
func unfit(s *cluster.Snapshot, namespace string) string {
	if cluster.IsPlatform(namespace) {
		return "the platform's namespaces are called by nodes and the control plane"
	}
	if s.Origin.Namespace != "" {
		return "the run sees namespace " + s.Origin.Namespace + " alone, and not who calls it from others: run it with -A, or with --fix network-policy-missing"
	}
	for _, kind := range []cluster.Kind{cluster.Services, cluster.Ingresses, cluster.ValidatingWebhooks, cluster.MutatingWebhooks, cluster.APIServices} {
		if !s.Known(kind) {
			return "who calls it is not known: " + string(kind) + " could not be read"
		}
	}
	for _, resource := range []string{"routes.route.openshift.io", "ingressroutes.traefik.io", "mappings.getambassador.io", "httpproxies.projectcontour.io"} {
		if s.Serves(resource) {
			return "traffic may enter by " + resource + ", which are not read"
		}
	}
	if why := calledByServer(s, namespace); why != "" {
		return why
	}
	if why := inMesh(s, namespace); why != "" {
		return why
	}
	for _, policy := range s.NetworkPolicies {
		if policy.Namespace == namespace && governs(policy, networkingv1.PolicyTypeIngress) && allowsAll(policy, networkingv1.PolicyTypeIngress) {
			return "NetworkPolicy " + policy.Name + " lets everything in, and policies add up: narrow or delete it first"
		}
	}
	return ""
}

// calledByServer names what the API server itself calls in a namespace: from
// addresses that are not known here.
func calledByServer(s *cluster.Snapshot, namespace string) string {
	for _, w := range webhooks(s) {
		if w.service != nil && w.service.Namespace == namespace {
			return fmt.Sprintf("the API server calls Service %s of it (webhook %s), from addresses that are not known", w.service.Name, w.name)
		}
	}
	for _, service := range s.APIServices {
		if backend := service.Spec.Service; backend != nil && backend.Namespace == namespace {
			return fmt.Sprintf("the API server calls Service %s of it (APIService %s), from addresses that are not known", backend.Name, service.Name)
		}
	}
	for _, definition := range s.Definitions {
		if backend := definition.Spec.Conversion.Webhook.ClientConfig.Service; backend != nil && backend.Namespace == namespace {
			return fmt.Sprintf("the API server calls Service %s of it (conversion of %s), from addresses that are not known", backend.Name, definition.Name)
		}
	}
	return ""
}

// inMesh names the mesh that carries a namespace's traffic, on ports of its own.
func inMesh(s *cluster.Snapshot, namespace string) string {
	ns := s.Namespace(namespace)
	if ns == nil {
		return ""
	}
	for key, value := range labels.Merge(ns.Labels, ns.Annotations) {
		switch key {
		case "istio-injection", "istio.io/rev", "istio.io/dataplane-mode", "linkerd.io/inject", "kuma.io/sidecar-injection":
			if value != "disabled" && value != "none" {
				return "a service mesh carries its traffic (" + key + "=" + value + "), on ports of its own: use the mesh's authorization policies"
			}
		}
	}
	return ""
}

// derive finds the known edges into a namespace, and the policies that allow
// them: one for each Service, each StatefulSet's peers, each that offers metrics.
func derive(s *cluster.Snapshot, namespace string) (edges []edge, allows []*networkingv1.NetworkPolicy) {
	callers := callersOf(s, namespace)
	for _, service := range s.Services {
		if service.Namespace != namespace || len(service.Spec.Selector) == 0 || service.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		selector := selecting(service.Spec.Selector)
		ports, open := servicePorts(service), openTo(s, namespace, selector)
		if len(ports) == 0 || len(open) == 0 {
			continue
		}
		within := caller{endpoint: endpoint{namespace: namespace, labels: labels.Set{}}, peer: &networkingv1.NetworkPolicyPeer{PodSelector: selecting(nil)}, why: "pods of the namespace, through Service " + service.Name}
		calling := append([]caller{within}, callers[service.Name]...)
		allows = append(allows, policyIn(namespace, "allow-to-"+service.Name, *selector, rulesFor(calling, ports)))
		edges = append(edges, edgesTo(open, calling, ports)...)
	}
	for _, w := range s.WorkloadsIn(namespace) {
		if w.Selector == nil || len(openTo(s, namespace, w.Selector)) == 0 || w.Template.Spec.HostNetwork {
			continue
		}
		self := []*cluster.Workload{w}
		if w.Self.Kind == "StatefulSet" {
			peers := []caller{{endpoint: endpoint{namespace: namespace, labels: w.Template.Labels}, peer: &networkingv1.NetworkPolicyPeer{PodSelector: w.Selector}, why: "its own replicas"}}
			allows = append(allows, policyIn(namespace, "allow-peers-of-"+w.Self.Name, *w.Selector, rulesFor(peers, nil)))
			edges = append(edges, edgesTo(self, peers, nil)...)
		}
		if metrics := scrapePorts(w); len(metrics) > 0 {
			var ports []networkingv1.NetworkPolicyPort
			for _, port := range metrics {
				ports = append(ports, networkingv1.NetworkPolicyPort{Port: &port})
			}
			allows = append(allows, policyIn(namespace, "allow-scrape-of-"+w.Self.Name, *w.Selector, rulesFor(scrapers(s), ports)))
			edges = append(edges, edgesTo(self, scrapers(s), ports)...)
		}
	}
	return edges, allows
}

// openTo are the workloads that a selector matches and no policy isolates yet:
// who wrote a policy for the others has decided.
func openTo(s *cluster.Snapshot, namespace string, selector *metav1.LabelSelector) []*cluster.Workload {
	return slices.DeleteFunc(onPodNetwork(s.Selected(namespace, selector)), func(w *cluster.Workload) bool {
		return slices.ContainsFunc(s.NetworkPolicies, func(p *networkingv1.NetworkPolicy) bool {
			return p.Namespace == namespace && governs(p, networkingv1.PolicyTypeIngress) && matches(&p.Spec.PodSelector, w.Template.Labels)
		})
	})
}

// servicePorts are the ports of the pods behind a Service, by number or name.
func servicePorts(service *corev1.Service) []networkingv1.NetworkPolicyPort {
	var ports []networkingv1.NetworkPolicyPort
	for _, p := range service.Spec.Ports {
		target := p.TargetPort
		if target == (intstr.IntOrString{}) {
			target = intstr.FromInt32(p.Port)
		}
		port := networkingv1.NetworkPolicyPort{Port: &target}
		if p.Protocol != "" && p.Protocol != corev1.ProtocolTCP {
			port.Protocol = &p.Protocol
		}
		if !slices.ContainsFunc(ports, func(q networkingv1.NetworkPolicyPort) bool {
			return *q.Port == target && protocolOf(q.Protocol) == protocolOf(port.Protocol)
		}) {
			ports = append(ports, port)
		}
	}
	return ports
}

// rulesFor allow callers on ports: everybody, where one of them is not known.
func rulesFor(callers []caller, ports []networkingv1.NetworkPolicyPort) []networkingv1.NetworkPolicyIngressRule {
	rule := networkingv1.NetworkPolicyIngressRule{Ports: ports}
	for _, c := range callers {
		if c.peer == nil {
			return []networkingv1.NetworkPolicyIngressRule{{Ports: ports}}
		}
		if !slices.ContainsFunc(rule.From, func(p networkingv1.NetworkPolicyPeer) bool { return p.String() == c.peer.String() }) {
			rule.From = append(rule.From, *c.peer)
		}
	}
	return []networkingv1.NetworkPolicyIngressRule{rule}
}

func edgesTo(workloads []*cluster.Workload, callers []caller, ports []networkingv1.NetworkPolicyPort) []edge {
	if len(ports) == 0 {
		ports = []networkingv1.NetworkPolicyPort{{Port: &intstr.IntOrString{}}}
	}
	var edges []edge
	for _, w := range workloads {
		for _, c := range callers {
			for _, port := range ports {
				edges = append(edges, edge{from: c.endpoint, to: w, port: *port.Port, protocol: protocolOf(port.Protocol), why: c.why})
			}
		}
	}
	return edges
}

func policyIn(namespace, name string, selector metav1.LabelSelector, ingress []networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: selector, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: ingress},
	}
}

func selecting(set map[string]string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: set}
}
