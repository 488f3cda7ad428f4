package cluster

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// index is what is derived from the objects once, so that no check scans all
// of them for each of them.
type index struct {
	workloads    []*Workload
	byUID        map[types.UID]*Workload
	above        map[types.UID]*metav1.OwnerReference // of custom resources with a pod template
	byRef        map[Ref]*Workload
	byLabel      map[labelKey][]*Workload
	byNamespace  map[string][]*Workload
	podsByNode   map[string][]*Pod
	nodesByName  map[string]*corev1.Node
	limitRanges  map[string][]*corev1.LimitRange
	zones        []string
	namespaceRef map[string]*corev1.Namespace
	metas        metas
	lookups
}

// labelKey finds the Workloads of a namespace whose template has a label.
type labelKey struct{ namespace, key, value string }

// complete builds the indexes over a Snapshot whose objects are all there.
func (s *Snapshot) complete() *Snapshot {
	s.index = &index{
		byUID:        map[types.UID]*Workload{},
		above:        map[types.UID]*metav1.OwnerReference{},
		byRef:        map[Ref]*Workload{},
		byLabel:      map[labelKey][]*Workload{},
		byNamespace:  map[string][]*Workload{},
		podsByNode:   map[string][]*Pod{},
		nodesByName:  map[string]*corev1.Node{},
		limitRanges:  map[string][]*corev1.LimitRange{},
		namespaceRef: map[string]*corev1.Namespace{},
		metas:        metas{known: map[kindOf]map[key]metav1.Object{}},
		lookups:      s.newLookups(),
	}
	s.indexNodes()
	s.indexOwners()
	s.indexPods()
	s.indexTemplates()
	s.indexSelectors()
	s.indexScalers()
	s.noteCounts()
	for _, lr := range s.LimitRanges {
		s.limitRanges[lr.Namespace] = append(s.limitRanges[lr.Namespace], lr)
	}
	for _, ns := range s.Namespaces {
		s.namespaceRef[ns.Name] = ns
	}
	return s
}

// Workloads are everything that runs pods, top owners only.
func (s *Snapshot) Workloads() []*Workload { return s.workloads }

// WorkloadsIn are the Workloads of one namespace.
func (s *Snapshot) WorkloadsIn(namespace string) []*Workload { return s.byNamespace[namespace] }

// PopulatedNamespaces are the names of the namespaces in which something runs
// pods, sorted. Of manifests, only those that they declare: of the others the
// files cannot tell what they hold.
func (s *Snapshot) PopulatedNamespaces() []string {
	var names []string
	for name := range s.byNamespace {
		if s.Origin.Live || s.Namespace(name) != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// WorkloadByRef finds a Workload by its Owner or Self; nil when there is none.
func (s *Snapshot) WorkloadByRef(ref Ref) *Workload { return s.byRef[ref] }

// PodsOn are the pods bound to a node.
func (s *Snapshot) PodsOn(node string) []*Pod { return s.podsByNode[node] }

// Node finds a node by name; nil when there is none.
func (s *Snapshot) Node(name string) *corev1.Node { return s.nodesByName[name] }

// Namespace finds a namespace by name; nil when there is none.
func (s *Snapshot) Namespace(name string) *corev1.Namespace { return s.namespaceRef[name] }

// Zones are the distinct values of topology.kubernetes.io/zone over all nodes,
// sorted.
func (s *Snapshot) Zones() []string { return s.zones }

func (s *Snapshot) indexNodes() {
	for _, node := range s.Nodes {
		s.nodesByName[node.Name] = node
		if zone := node.Labels[corev1.LabelTopologyZone]; zone != "" {
			s.zones = append(s.zones, zone)
		}
	}
	slices.Sort(s.zones)
	s.zones = slices.Compact(s.zones)
}

// indexOwners makes the Workloads of all objects that hold a pod template.
func (s *Snapshot) indexOwners() {
	for _, w := range s.shaped {
		if owner := metav1.GetControllerOfNoCopy(w.Meta); owner != nil && w.Meta.UID != "" {
			s.above[w.Meta.UID] = owner
		}
	}
	for _, d := range s.Deployments {
		s.add(deploymentWorkload(d))
	}
	for _, set := range s.StatefulSets {
		s.add(statefulSetWorkload(set))
	}
	for _, d := range s.DaemonSets {
		s.add(daemonSetWorkload(d))
	}
	for _, c := range s.CronJobs {
		s.add(cronJobWorkload(c))
	}
	s.addShaped()
	for _, j := range s.Jobs {
		if owner := metav1.GetControllerOf(j); owner == nil || s.byUID[owner.UID] == nil {
			s.add(jobWorkload(j))
		} else {
			s.byUID[j.UID] = s.byUID[owner.UID] // a CronJob's run
		}
	}
	for _, rs := range s.ReplicaSets {
		if owner := metav1.GetControllerOf(rs); owner != nil && rs.UID != "" && s.byUID[owner.UID] != nil {
			s.byUID[rs.UID] = s.byUID[owner.UID]
		}
	}
}

// addShaped adds the Workloads of custom resources. What an operator made of
// one in turn, a Deployment or another custom resource, would be the same twice:
// of the two, the Deployment is judged, since it is what runs, and of two custom
// resources the upper one, since it is what a person edits.
func (s *Snapshot) addShaped() {
	made := map[types.UID]bool{}
	for _, w := range s.workloads {
		for owner := metav1.GetControllerOfNoCopy(w.Meta); owner != nil && !made[owner.UID]; owner = s.above[owner.UID] {
			made[owner.UID] = true
		}
	}
	holders := map[types.UID]bool{}
	for _, w := range s.shaped {
		holders[w.Meta.UID] = true
	}
	for _, w := range s.shaped {
		owner := s.above[w.Meta.UID]
		if made[w.Meta.UID] && w.Meta.UID != "" || owner != nil && holders[owner.UID] {
			continue
		}
		s.add(w)
	}
	for _, w := range s.shaped {
		if top := s.topOf(s.above[w.Meta.UID]); top != nil && s.byUID[w.Meta.UID] == nil && s.byUID[top.UID] != nil {
			s.byUID[w.Meta.UID] = s.byUID[top.UID] // its pods are the upper one's
		}
	}
}

// topOf is the last of the owners above one, as far as their custom resources
// were read.
func (s *Snapshot) topOf(owner *metav1.OwnerReference) *metav1.OwnerReference {
	for steps := 0; owner != nil && s.above[owner.UID] != nil && steps < maxDepth; steps++ { // owners may go in a circle
		owner = s.above[owner.UID]
	}
	return owner
}

// knativeService labels what Knative makes with the Service it makes it for.
const knativeService = "serving.knative.dev/service"

// openFaaSFunction labels the pods of a function with its name; OpenFaaS'
// gateway scales them by their calls, and its autoscaler to none.
const openFaaSFunction = "faas_function"

// add takes a Workload up, named after the owner above it if it has one.
func (s *Snapshot) add(w *Workload) {
	if owner := s.topOf(metav1.GetControllerOfNoCopy(w.Meta)); owner != nil && w.Self.Kind != "Pod" {
		w.Owner = Ref{APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: w.Self.Namespace, Name: owner.Name}
	}
	if service := w.Meta.Labels[knativeService]; service != "" {
		// A Deployment's owner is a Revision, which nobody edits.
		w.Owner = Ref{APIVersion: "serving.knative.dev/v1", Kind: "Service", Namespace: w.Self.Namespace, Name: service}
	}
	s.workloads = append(s.workloads, w)
	if w.Meta.UID != "" {
		s.byUID[w.Meta.UID] = w
	}
	s.byRef[w.Self] = w
	if s.byRef[w.Owner] == nil {
		s.byRef[w.Owner] = w
	}
}

// indexPods hands each pod to its Workload, making one for pods whose owner
// was not read or is not a kind with a template.
func (s *Snapshot) indexPods() {
	replicaSets := make(map[types.UID]*metav1.PartialObjectMetadata, len(s.ReplicaSets))
	for _, rs := range s.ReplicaSets {
		replicaSets[rs.UID] = rs
	}
	for _, pod := range s.Pods {
		if pod.Spec.NodeName != "" {
			s.podsByNode[pod.Spec.NodeName] = append(s.podsByNode[pod.Spec.NodeName], pod)
		}
		w := s.workloadOf(pod, replicaSets)
		w.Pods = append(w.Pods, pod)
	}
}

func (s *Snapshot) workloadOf(pod *Pod, replicaSets map[types.UID]*metav1.PartialObjectMetadata) *Workload {
	self := RefOf("v1", "Pod", &pod.ObjectMeta)
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil || owner.Kind == "Node" { // bare, or a static pod's mirror
		w := podWorkload(self, pod)
		s.add(w)
		return w
	}
	if w := s.byUID[owner.UID]; w != nil {
		return w
	}
	top := s.topOf(owner)
	ref := Ref{APIVersion: top.APIVersion, Kind: top.Kind, Namespace: pod.Namespace, Name: top.Name}
	if rs := replicaSets[owner.UID]; rs != nil {
		if above := s.topOf(metav1.GetControllerOfNoCopy(rs)); above != nil {
			ref = Ref{APIVersion: above.APIVersion, Kind: above.Kind, Namespace: pod.Namespace, Name: above.Name}
		}
	} else if deployment, ok := deploymentByName(pod, owner); ok {
		ref = deployment
	}
	w := s.byRef[ref]
	if w == nil {
		w = podWorkload(ref, pod)
		s.workloads = append(s.workloads, w)
		s.byRef[ref] = w
	}
	s.byUID[owner.UID] = w
	return w
}

func (s *Snapshot) indexTemplates() {
	for _, w := range s.workloads {
		ns := w.Self.Namespace
		s.byNamespace[ns] = append(s.byNamespace[ns], w)
		for key, value := range w.Template.Labels {
			k := labelKey{ns, key, value}
			s.byLabel[k] = append(s.byLabel[k], w)
		}
	}
}

// indexSelectors joins Services and budgets to the Workloads they select.
func (s *Snapshot) indexSelectors() {
	for _, service := range s.Services {
		if len(service.Spec.Selector) == 0 {
			continue // endpoints are someone else's business
		}
		selector := &metav1.LabelSelector{MatchLabels: service.Spec.Selector}
		for _, w := range s.Selected(service.Namespace, selector) {
			w.Services = append(w.Services, service)
		}
	}
	for _, budget := range s.Budgets {
		for _, w := range s.Selected(budget.Namespace, budget.Spec.Selector) {
			w.Budgets = append(w.Budgets, budget)
		}
	}
}

// Selected are the Workloads of a namespace whose template labels a selector
// matches. As in policy/v1, nil selects nothing and an empty selector all; a
// selector that does not parse selects nothing.
func (s *Snapshot) Selected(namespace string, selector *metav1.LabelSelector) []*Workload {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil || selector == nil {
		return nil
	}
	candidates := s.byNamespace[namespace]
	for key, value := range selector.MatchLabels {
		if having := s.byLabel[labelKey{namespace, key, value}]; len(having) < len(candidates) {
			candidates = having
		}
	}
	var selected []*Workload
	for _, w := range candidates {
		if parsed.Matches(labels.Set(w.Template.Labels)) {
			selected = append(selected, w)
		}
	}
	return selected
}

// indexScalers notes on each Workload what scales it.
func (s *Snapshot) indexScalers() {
	for _, hpa := range s.Autoscalers {
		target := hpa.Spec.ScaleTargetRef
		if w := s.scaled(hpa.Namespace, target.APIVersion, target.Kind, target.Name); w != nil {
			w.Autoscaler = hpa
			w.Scaler = "HorizontalPodAutoscaler " + hpa.Name
			if owner := metav1.GetControllerOfNoCopy(hpa); owner != nil {
				w.Scaler = owner.Kind + " " + owner.Name // as KEDA's ScaledObject
			}
		}
	}
	s.indexCustomScalers(s.ScaledObjects, "scaleTargetRef", func(w *Workload) *string { return &w.Scaler })
	s.indexCustomScalers(s.VerticalScalers, "targetRef", func(w *Workload) *string { return &w.VerticalScaler })
	for _, w := range s.workloads {
		if group, ok := w.Meta.Labels[knativeService]; ok && w.Scaler == "" {
			w.Scaler = "Knative Service " + group
		}
		if function := w.Template.Labels[openFaaSFunction]; function != "" && w.Scaler == "" {
			w.Scaler = "OpenFaaS function " + function
		}
		if w.Owner.Kind == "Notebook" && strings.HasPrefix(w.Owner.APIVersion, "kubeflow.org/") && w.Scaler == "" {
			w.Scaler = "Notebook " + w.Owner.Name // one pod, one person's, or none
		}
	}
}

func (s *Snapshot) indexCustomScalers(scalers []*unstructured.Unstructured, field string, name func(*Workload) *string) {
	for _, scaler := range scalers {
		ref, _, _ := unstructured.NestedMap(scaler.Object, "spec", field)
		kind, _ := ref["kind"].(string)
		if kind == "" {
			kind = "Deployment" // KEDA's default
		}
		apiVersion, _ := ref["apiVersion"].(string)
		target, _ := ref["name"].(string)
		if w := s.scaled(scaler.GetNamespace(), apiVersion, kind, target); w != nil {
			*name(w) = scaler.GetKind() + " " + scaler.GetName()
		}
	}
}

// scaled finds a scaler's target; API versions are compared by group, since
// autoscalers live on with the version they were written in.
func (s *Snapshot) scaled(namespace, apiVersion, kind, name string) *Workload {
	for _, w := range []*Workload{
		s.byRef[Ref{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name}],
		s.byRef[Ref{APIVersion: "apps/v1", Kind: kind, Namespace: namespace, Name: name}],
	} {
		if w != nil {
			return w
		}
	}
	return nil
}
