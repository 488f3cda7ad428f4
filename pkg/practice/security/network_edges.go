package security

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// caller is who connects to a Service or a workload, and how that is known: the
// endpoint, and the peer by which a policy names it (nil is everybody).
type caller struct {
	endpoint
	peer *networkingv1.NetworkPolicyPeer
	why  string
}

// everybodyCalls is a caller whose addresses are not known.
func everybodyCalls(why string) caller { return caller{endpoint: anywhere(), why: why} }

// callersOf are the known callers of each Service of a namespace, besides the
// pods of the namespace itself.
func callersOf(s *cluster.Snapshot, namespace string) map[string][]caller {
	callers := map[string][]caller{}
	for _, service := range s.Services {
		if service.Namespace != namespace {
			continue
		}
		if service.Spec.Type == corev1.ServiceTypeLoadBalancer || service.Spec.Type == corev1.ServiceTypeNodePort || len(service.Spec.ExternalIPs) > 0 {
			callers[service.Name] = append(callers[service.Name], everybodyCalls("clients of the "+string(service.Spec.Type)+" Service "+service.Name))
		}
	}
	for _, name := range routed(s, namespace) {
		callers[name] = append(callers[name], gatekeepers(s, name)...)
	}
	addresses := addressesIn(s, namespace)
	for _, w := range s.Workloads() {
		if w.Self.Namespace == namespace {
			continue
		}
		for _, name := range addresses.of(settings(w)) {
			callers[name] = append(callers[name], podsOf(s, w, "address in the settings of "+w.Self.String()+" of namespace "+w.Self.Namespace))
		}
	}
	for _, cm := range s.ConfigMapData {
		if cm.Namespace == namespace {
			continue
		}
		for _, value := range cm.Data {
			for _, name := range addresses.of([]string{value}) {
				callers[name] = append(callers[name], namespaceOf(s, cm.Namespace, "address in ConfigMap "+cm.Name+" of namespace "+cm.Namespace))
			}
		}
	}
	for _, service := range s.Services {
		if service.Namespace != namespace && service.Spec.Type == corev1.ServiceTypeExternalName {
			for _, name := range addresses.of([]string{service.Spec.ExternalName}) {
				callers[name] = append(callers[name], namespaceOf(s, service.Namespace, "ExternalName Service "+service.Name+" of namespace "+service.Namespace))
			}
		}
	}
	return callers
}

// routed are the Services of a namespace that an Ingress or a route of the
// Gateway API sends traffic to.
func routed(s *cluster.Snapshot, namespace string) []string {
	var names []string
	note := func(backend *networkingv1.IngressBackend) {
		if backend != nil && backend.Service != nil {
			names = append(names, backend.Service.Name)
		}
	}
	for _, ingress := range s.Ingresses {
		if ingress.Namespace != namespace {
			continue
		}
		note(ingress.Spec.DefaultBackend)
		for _, rule := range ingress.Spec.Rules {
			if rule.HTTP != nil {
				for i := range rule.HTTP.Paths {
					note(&rule.HTTP.Paths[i].Backend)
				}
			}
		}
	}
	for _, kind := range []cluster.Kind{cluster.HTTPRoutes, cluster.GRPCRoutes} {
		for _, route := range s.System(kind) {
			rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
			for _, rule := range rules {
				rule, _ := rule.(map[string]any)
				backends, _, _ := unstructured.NestedSlice(rule, "backendRefs")
				for _, backend := range backends {
					backend, _ := backend.(map[string]any)
					name, _ := backend["name"].(string)
					at, _ := backend["namespace"].(string)
					if at == namespace || (at == "" && route.GetNamespace() == namespace) {
						names = append(names, name)
					}
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// gatekeepers are the pods that bring an Ingress' or a route's traffic to a
// Service; everybody where none is seen, as a provider's load balancer sends it
// from addresses of its own.
func gatekeepers(s *cluster.Snapshot, service string) []caller {
	why := "Ingress or route to Service " + service
	var all []caller
	for _, w := range s.Workloads() {
		if !isGatekeeper(w) {
			continue
		}
		if w.Template.Spec.HostNetwork {
			return []caller{everybodyCalls(why + " (its controller is on the nodes' network)")}
		}
		all = append(all, podsOf(s, w, why+", through "+w.Self.String()))
	}
	if len(all) == 0 {
		return []caller{everybodyCalls(why + " (no controller of it is seen)")}
	}
	return all
}

// isGatekeeper knows the images of ingress controllers and gateways, by the
// last part of their names.
func isGatekeeper(w *cluster.Workload) bool {
	if w.Template.Labels["gateway.networking.k8s.io/gateway-name"] != "" || w.Template.Labels["app.kubernetes.io/name"] == "ingress-nginx" {
		return true
	}
	for c := range w.Containers() {
		switch imageName(c.Image) {
		case "nginx-ingress", "nginx-ingress-controller", "traefik", "haproxy-ingress", "kubernetes-ingress", "kong", "contour", "skipper", "emissary", "apisix":
			return true
		}
	}
	return false
}

// imageName is an image's name without registry, path, tag and digest.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	image, _, _ = strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return image
}

// scrapesMetrics knows the images of programs that scrape.
func scrapesMetrics(w *cluster.Workload) bool {
	for c := range w.Containers() {
		switch imageName(c.Image) {
		case "prometheus", "vmagent", "vmsingle", "victoria-metrics", "agent", "alloy", "opentelemetry-collector", "opentelemetry-collector-contrib", "opentelemetry-collector-k8s":
			return true
		}
	}
	return false
}

// scrapers are the pods that may come for metrics: the known ones or, where
// none is seen, every pod.
func scrapers(s *cluster.Snapshot) []caller {
	var all []caller
	for _, w := range s.Workloads() {
		if scrapesMetrics(w) {
			if w.Template.Spec.HostNetwork {
				return []caller{everybodyCalls("scrape by " + w.Self.String())}
			}
			all = append(all, podsOf(s, w, "scrape by "+w.Self.String()))
		}
	}
	for _, prometheus := range s.System(cluster.Prometheuses) {
		all = append(all, namespaceOf(s, prometheus.GetNamespace(), "scrape by Prometheus "+prometheus.GetName()))
	}
	if len(all) == 0 {
		all = append(all, caller{
			endpoint: endpoint{namespace: "*", namespaceLabels: labels.Set{}, labels: labels.Set{}},
			peer:     &networkingv1.NetworkPolicyPeer{NamespaceSelector: selecting(nil)}, why: "scrape by whatever scrapes",
		})
	}
	return all
}

// scrapePorts are the ports at which a Workload offers metrics: that of the
// prometheus.io annotations, and those named metrics; empty when it offers none.
func scrapePorts(w *cluster.Workload) []intstr.IntOrString {
	var ports []intstr.IntOrString
	annotations := w.Template.Annotations
	if annotations["prometheus.io/scrape"] == "true" {
		if port := annotations["prometheus.io/port"]; port != "" {
			ports = append(ports, intstr.Parse(port))
		} else {
			for c := range w.Containers() {
				for _, p := range c.Ports {
					ports = append(ports, intstr.FromInt32(p.ContainerPort))
				}
			}
		}
	}
	for c := range w.Containers() {
		for _, p := range c.Ports {
			if p.Name == "metrics" || strings.HasSuffix(p.Name, "-metrics") {
				ports = append(ports, intstr.FromInt32(p.ContainerPort))
			}
		}
	}
	return ports
}

// podsOf is a Workload as a caller: by its own selector where it has one.
func podsOf(s *cluster.Snapshot, w *cluster.Workload, why string) caller {
	c := namespaceOf(s, w.Self.Namespace, why)
	c.labels = w.Template.Labels
	if w.Selector != nil {
		c.peer.PodSelector = w.Selector
	}
	return c
}

// namespaceOf is all pods of a namespace as a caller.
func namespaceOf(s *cluster.Snapshot, namespace, why string) caller {
	named := labels.Set{corev1.LabelMetadataName: namespace}
	e := endpoint{namespace: namespace, namespaceLabels: named, labels: labels.Set{}}
	if ns := s.Namespace(namespace); ns != nil {
		e.namespaceLabels = labels.Merge(ns.Labels, named)
	}
	return caller{endpoint: e, peer: &networkingv1.NetworkPolicyPeer{NamespaceSelector: selecting(named)}, why: why}
}

// settings are the texts of a Workload's template in which addresses stand.
func settings(w *cluster.Workload) []string {
	var all []string
	for c := range w.Containers() {
		all = append(all, slices.Concat(c.Command, c.Args)...)
		for _, env := range c.Env {
			all = append(all, env.Value)
		}
	}
	return all
}

// addresses find the Services of a namespace by their DNS names.
type addresses struct {
	namespace string
	services  map[string]bool
}

func addressesIn(s *cluster.Snapshot, namespace string) addresses {
	a := addresses{namespace, map[string]bool{}}
	for _, service := range s.Services {
		if service.Namespace == namespace {
			a.services[service.Name] = true
		}
	}
	return a
}

// of are the Services that texts name as service.namespace, with or without
// .svc and the cluster's domain, or as pod.service.namespace, as clients in
// other namespaces do.
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
func (a addresses) of(texts []string) []string {
	if len(a.services) == 0 {
		return nil
	}
	var names []string
	for _, text := range texts {
		if !strings.Contains(text, "."+a.namespace) {
			continue
		}
		for _, name := range regexp.MustCompile(`[a-z0-9][-a-z0-9]*(?:\.[a-z0-9][-a-z0-9]*)+`).FindAllString(strings.ToLower(text), -1) {
			parts := strings.Split(name, ".")
			for i := 0; i+1 < len(parts) && i < 2; i++ {
				if parts[i+1] == a.namespace && a.services[parts[i]] {
					names = append(names, parts[i])
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
