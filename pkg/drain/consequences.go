package drain

import (
	"cmp"
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

// losses collects what breaks, once each.
type losses struct {
	all  []report.DrainConsequence
	seen map[string]bool
}

func (l *losses) add(severity report.Severity, kind string, of report.Object, fixes []string, format string, args ...any) {
	c := report.DrainConsequence{Severity: severity, Kind: kind, Object: of, Message: fmt.Sprintf(format, args...), Fixes: fixes}
	key := kind + of.Namespace + "/" + of.String() + c.Message
	if l.seen[key] {
		return
	}
	l.seen[key] = true
	l.all = append(l.all, c)
}

// consequences are what breaks or is lost although the drain finishes, worst
// first.
func (w *world) consequences(q Question, victims []*victim) []report.DrainConsequence {
	l := &losses{seen: map[string]bool{}}
	var gone []*victim
	for _, v := range victims {
		if v.report.Outcome == report.DrainEvicted && !ended(v.pod) {
			gone = append(gone, v)
		}
	}
	w.unplaced(l, gone)
	w.services(l, gone)
	w.workloadsLost(l, gone)
	w.data(l, gone)
	w.singles(l, q, gone)
	w.machines(l, q)
	for _, p := range w.preempted {
		w.tellPreempted(l, p)
	}
	slices.SortStableFunc(l.all, func(a, b report.DrainConsequence) int {
		return cmp.Compare(a.Severity.Rank(), b.Severity.Rank())
	})
	return append([]report.DrainConsequence{}, l.all...)
}

// unplaced are replacements that fit no node.
func (w *world) unplaced(l *losses, gone []*victim) {
	by := map[report.Object][]*victim{}
	var order []report.Object
	for _, v := range gone {
		if v.report.Unplaced == "" {
			continue
		}
		if by[v.report.Owner] == nil {
			order = append(order, v.report.Owner)
		}
		by[v.report.Owner] = append(by[v.report.Owner], v)
	}
	for _, of := range order {
		v := by[of][0]
		if volume := w.stays(v.pod); volume != "" {
			l.add(report.Critical, "volume", of, nil, "%s would stay Pending, for %s cannot follow: %s", count(len(by[of]), "pod"), volume, v.report.Unplaced)
			continue
		}
		l.add(report.Critical, "unplaced", of, []string{"kubectl get nodes  # one more that fits, or free capacity, has to be there first"},
			"%s would stay Pending: %s", count(len(by[of]), "pod"), v.report.Unplaced)
	}
}

// stays names the pod's volume that exists on some nodes only.
func (w *world) stays(pod *corev1.Pod) string {
	for i := range pod.Spec.Volumes {
		claim := w.s.Claim(pod.Namespace, cluster.ClaimOf(pod, &pod.Spec.Volumes[i]))
		if claim == nil || claim.Spec.VolumeName == "" {
			continue
		}
		if volume := w.s.Volume(claim.Spec.VolumeName); volume != nil && volume.Spec.NodeAffinity != nil && volume.Spec.NodeAffinity.Required != nil {
			size := volume.Spec.Capacity[corev1.ResourceStorage]
			return fmt.Sprintf("volume %s (%s, %s)", volume.Name, size.String(), where(volume))
		}
	}
	return ""
}

// where says to which nodes a volume is tied.
func where(volume *corev1.PersistentVolume) string {
	if volume.Spec.Local != nil || volume.Spec.HostPath != nil {
		return "on the node itself"
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			return fmt.Sprintf("%s %s", e.Key, strings.Join(e.Values, ","))
		}
	}
	return "tied to some nodes"
}

// services tells of Services that lose all their ready endpoints.
func (w *world) services(l *losses, gone []*victim) {
	evicted := map[*corev1.Pod]*victim{}
	namespaces := map[string]bool{}
	for _, v := range gone {
		evicted[v.pod] = v
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
func (w *world) endpoints(service *corev1.Service, evicted map[*corev1.Pod]*victim) (ready int, leaving []*victim) {
	selector := labels.SelectorFromSet(service.Spec.Selector)
	for _, workload := range w.s.WorkloadsIn(service.Namespace) {
		for _, pod := range workload.Pods {
			if !isReady(pod) || !pod.DeletionTimestamp.IsZero() || !selector.Matches(labels.Set(pod.Labels)) {
				continue
			}
			ready++
			if v := evicted[pod]; v != nil {
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

// guardsEvictions reports whether a webhook is asked about evictions.
func guardsEvictions(rules []admissionregistrationv1.RuleWithOperations) bool {
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			if resource == "pods/eviction" || resource == "pods/*" || resource == "*/*" {
				return true
			}
		}
	}
	return false
}

// workloadsLost tells of workloads that lose their last ready pod, or a
// StatefulSet's majority, at once.
func (w *world) workloadsLost(l *losses, gone []*victim) {
	type moment struct {
		of   *cluster.Workload
		node string
		wave int
	}
	at := map[moment]int{}
	for _, v := range gone {
		if v.workload != nil && isReady(v.pod) {
			at[moment{v.workload, v.report.Node, v.report.Wave}]++
		}
	}
	for _, v := range gone {
		if v.workload == nil || !v.report.Replaced {
			continue
		}
		ready := 0
		for _, pod := range v.workload.Pods {
			if isReady(pod) && pod.DeletionTimestamp.IsZero() {
				ready++
			}
		}
		leaving := at[moment{v.workload, v.report.Node, v.report.Wave}]
		of := object(v.workload.Owner)
		switch replicas := v.workload.Replicas; {
		case v.workload.Self.Kind == "StatefulSet" && replicas != nil && *replicas >= 3 && ready-leaving <= int(*replicas)/2 && leaving > 0:
			l.add(report.Critical, "quorum", of, nil, "%d of its %d ready pods go at once, and %d are no majority of %d", leaving, ready, ready-leaving, *replicas)
		case leaving > 0 && leaving == ready && replicas != nil && *replicas > 0 && !v.workload.IsServed():
			l.add(report.Warning, "replica", of, nil, "its last ready %s at once", goes(leaving))
		}
	}
}

func goes(n int) string {
	if n == 1 {
		return "pod goes"
	}
	return fmt.Sprintf("%d pods go", n)
}

// data is what ends with the pods.
func (w *world) data(l *losses, gone []*victim) {
	for _, v := range gone {
		for i := range v.pod.Spec.Volumes {
			volume := &v.pod.Spec.Volumes[i]
			if volume.EmptyDir == nil {
				continue
			}
			size := "without a size limit"
			if limit := volume.EmptyDir.SizeLimit; limit != nil {
				size = "up to " + limit.String()
			}
			if volume.EmptyDir.Medium == corev1.StorageMediumMemory {
				size += ", in memory"
			}
			l.add(report.Info, "emptydir", v.report.Owner, nil, "what is in emptyDir %s (%s) is lost", volume.Name, size)
		}
	}
}

// singles are pods that are not made anew, or not as they were.
func (w *world) singles(l *losses, q Question, gone []*victim) {
	for _, v := range gone {
		pod := report.Object{APIVersion: "v1", Kind: "Pod", Namespace: v.pod.Namespace, Name: v.pod.Name}
		switch metav1ControllerKind(v.pod) {
		case "":
			l.add(report.Critical, "bare", pod, []string{in(v.pod.Namespace, "get pod %s -o yaml > %s.yaml  # to make it again by hand", quote(v.pod.Name), quote(v.pod.Name))},
				"gone for good: it has no controller that makes it anew")
		case "Job":
			l.add(report.Warning, "job", v.report.Owner, nil, "its pod starts again from the beginning, and that may count against the Job's backoffLimit")
		}
		if slices.Contains(q.Nodes, v.report.To) {
			l.add(report.Warning, "returns", v.report.Owner, nil, "its replacement goes to drained node %s: it tolerates the cordon, or names the node", v.report.To)
		}
		for name, quantity := range cluster.PodRequests(v.pod) {
			if strings.Contains(string(name), "/") && !strings.HasPrefix(string(name), "hugepages") {
				l.add(report.Info, "device", v.report.Owner, nil, "needs %s of %s; %s", quantity.String(), name, fitsOn(v))
			}
		}
	}
}

func fitsOn(v *victim) string {
	if v.report.To == "" {
		return "no other node has it free"
	}
	return fmt.Sprintf("%s free", has(v.report.Fits))
}

func has(n int) string {
	if n == 1 {
		return "1 other node has it"
	}
	return fmt.Sprintf("%d other nodes have it", n)
}

// machines tells what the nodes themselves carry: the control plane, etcd, the
// last of a zone.
func (w *world) machines(l *losses, q Question) {
	drained := map[string]bool{}
	for _, node := range q.Nodes {
		drained[node] = true
	}
	zones := map[string]int{}
	var members, leaving, planes, planesLeaving int
	for _, node := range w.s.Nodes {
		usable := nodeReady(node) && !node.Spec.Unschedulable
		if zone := node.Labels[corev1.LabelTopologyZone]; zone != "" && usable && !drained[node.Name] {
			zones[zone]++
		}
		if _, plane := node.Labels["node-role.kubernetes.io/control-plane"]; plane {
			planes++
			planesLeaving += boolRank(drained[node.Name])
		}
		for _, pod := range w.s.PodsOn(node.Name) {
			if pod.Labels["component"] == "etcd" && metav1ControllerKind(pod) == "Node" {
				members++
				leaving += boolRank(drained[node.Name])
			}
		}
	}
	for _, name := range q.Nodes {
		if zone := w.s.Node(name).Labels[corev1.LabelTopologyZone]; zone != "" && zones[zone] == 0 {
			l.add(report.Warning, "zone", report.Object{APIVersion: "v1", Kind: "Node", Name: name}, nil, "zone %s has no schedulable node left", zone)
		}
	}
	plane := report.Object{APIVersion: "v1", Kind: "Node", Name: strings.Join(q.Nodes, ",")}
	switch {
	case leaving > 0 && members-leaving < members/2+1:
		l.add(report.Critical, "etcd", plane, nil, "carries %d of %d etcd members: the drain leaves them, but stopping the machine leaves no quorum", leaving, members)
	case leaving > 0:
		l.add(report.Warning, "etcd", plane, nil, "carries %d of %d etcd members: stopping the machine leaves %d, and a quorum is %d", leaving, members, members-leaving, members/2+1)
	}
	if planesLeaving > 0 && planesLeaving == planes {
		l.add(report.Critical, "control-plane", plane, nil, "is the whole control plane: stopping the machine stops the API")
	}
}

func (w *world) tellPreempted(l *losses, p *victim) {
	after := "finds no other node: " + p.report.Unplaced
	switch {
	case p.report.To != "":
		after = "moves to " + p.report.To
	case !p.report.Replaced:
		after = "is not made anew"
	}
	severity := report.Warning
	if p.report.To == "" {
		severity = report.Critical
	}
	l.add(severity, "preemption", p.report.Owner, nil, "pod %s (priority %d) is preempted on %s for %s (priority %d) and %s",
		p.report.Name, p.report.Priority, p.report.Node, p.by.report.Name, p.by.report.Priority, after)
}
