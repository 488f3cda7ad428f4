package drain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// podName finds a pod of the Snapshot again.
type podName struct{ namespace, name string }

// services tells of Services that lose all their ready endpoints.
func (w *world) services(l *losses, gone []*victim) {
	evicted := map[podName]*victim{}
	namespaces := map[string]bool{}
	for _, v := range gone {
		evicted[podName{v.pod.Namespace, v.pod.Name}] = v
		namespaces[v.pod.Namespace] = true
	}
	lost := map[string]bool{}
	for _, service := range w.s.Services {
		if len(service.Spec.Selector) == 0 || !namespaces[service.Namespace] {
			continue
		}
		ready, leaving := w.endpoints(service, evicted)
		if len(leaving) == 0 || ready > len(leaving) {
			continue
		}
		w.serviceLost(l, service, leaving)
		lost[service.Namespace+"/"+service.Name] = true
	}
	w.dependents(l, lost)
}

// endpoints counts a Service's ready pods and finds those that go.
func (w *world) endpoints(service *corev1.Service, evicted map[podName]*victim) (ready int, leaving []*victim) {
	selector := labels.SelectorFromSet(service.Spec.Selector)
	for _, workload := range w.s.WorkloadsIn(service.Namespace) {
		for _, pod := range workload.Pods {
			if !pod.IsReady() || !pod.DeletionTimestamp.IsZero() || !selector.Matches(labels.Set(pod.Labels)) {
				continue
			}
			ready++
			if v := evicted[podName{pod.Namespace, pod.Name}]; v != nil {
				leaving = append(leaving, v)
			}
		}
	}
	return ready, leaving
}

// serviceLost tells how long a Service is without a ready endpoint.
func (w *world) serviceLost(l *losses, service *corev1.Service, leaving []*victim) {
	of := report.Object{APIVersion: "v1", Kind: "Service", Namespace: service.Namespace, Name: service.Name}
	kind := "service"
	suffix := ""
	switch {
	case service.Labels["k8s-app"] == "kube-dns" || service.Name == "kube-dns":
		kind, suffix = "dns", ": names do not resolve meanwhile"
	case ingressController(leaving[0].workload):
		kind, suffix = "ingress", ": nothing from outside gets in meanwhile"
	}
	var gap time.Duration
	for _, v := range leaving {
		if !v.report.Replaced || v.report.Unplaced != "" {
			l.add(report.Critical, kind, of, nil, "no ready endpoint after the drain, until its pods find a place%s", suffix)
			return
		}
		takes := starts(v.pod)
		if metav1ControllerKind(v.pod) == "StatefulSet" { // made anew only when the old one is gone
			takes += w.o.ends(v.pod)
		}
		if gap == 0 || takes < gap {
			gap = takes
		}
	}
	together := !slices.ContainsFunc(leaving, func(v *victim) bool {
		return v.report.Node != leaving[0].report.Node || v.report.Wave != leaving[0].report.Wave
	})
	if !together {
		if slices.ContainsFunc(leaving, func(v *victim) bool { return v.report.Wave > 1 }) {
			return // a budget waits for replacements in between
		}
		l.add(report.Warning, kind, of, nil, "all its %d ready pods go, node by node; the drain does not wait for replacements in between%s", len(leaving), suffix)
		return
	}
	fixes := []string{}
	if wl := leaving[0].workload; wl != nil && wl.Replicas != nil && wl.Self.Kind == "Deployment" && *wl.Replicas == int32(len(leaving)) { //nolint:gosec // pods of a node
		fixes = append(fixes, w.scale(wl, *wl.Replicas+1))
	}
	l.add(report.Critical, kind, of, fixes, "no ready endpoint for some %s (an estimate): its %s at once%s", gap.Round(time.Second), goPods(len(leaving)), suffix)
}

func goPods(n int) string {
	if n == 1 {
		return "only ready pod goes"
	}
	return fmt.Sprintf("%d ready pods go", n)
}

// ingressController recognises the common ones by their images.
func ingressController(wl *cluster.Workload) bool {
	if wl == nil {
		return false
	}
	for c := range wl.Containers() {
		for _, image := range []string{"ingress-nginx/controller", "/traefik", "haproxy-ingress", "kubernetes-ingress", "kong", "contour", "istio/proxyv2", "envoyproxy/gateway"} {
			if strings.Contains("/"+c.Image, image) {
				return true
			}
		}
	}
	return false
}

// dependents are webhooks and APIServices behind Services without an endpoint.
func (w *world) dependents(l *losses, lost map[string]bool) {
	hook := func(kind, name string, webhook string, ref *admissionregistrationv1.ServiceReference, policy *admissionregistrationv1.FailurePolicyType) {
		if ref == nil || !lost[ref.Namespace+"/"+ref.Name] {
			return
		}
		of := report.Object{APIVersion: "admissionregistration.k8s.io/v1", Kind: kind, Name: name}
		if policy == nil || *policy == admissionregistrationv1.Fail {
			l.add(report.Critical, "webhook", of, nil, "webhook %s fails closed while Service %s/%s has no endpoint: writes are refused, replacements of pods too", webhook, ref.Namespace, ref.Name)
		} else {
			l.add(report.Warning, "webhook", of, nil, "webhook %s is skipped while Service %s/%s has no endpoint", webhook, ref.Namespace, ref.Name)
		}
	}
	for _, c := range w.s.ValidatingWebhooks {
		for i := range c.Webhooks {
			hook("ValidatingWebhookConfiguration", c.Name, c.Webhooks[i].Name, c.Webhooks[i].ClientConfig.Service, c.Webhooks[i].FailurePolicy)
		}
	}
	for _, c := range w.s.MutatingWebhooks {
		for i := range c.Webhooks {
			hook("MutatingWebhookConfiguration", c.Name, c.Webhooks[i].Name, c.Webhooks[i].ClientConfig.Service, c.Webhooks[i].FailurePolicy)
		}
	}
	for _, api := range w.s.APIServices {
		if backend := api.Spec.Service; backend != nil && lost[backend.Namespace+"/"+backend.Name] {
			l.add(report.Warning, "apiservice", report.Object{APIVersion: "apiregistration.k8s.io/v1", Kind: "APIService", Name: api.Name}, nil,
				"does not answer while Service %s/%s has no endpoint", backend.Namespace, backend.Name)
		}
	}
}
