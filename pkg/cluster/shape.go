package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// shapedWorkloads finds the pod templates in an object of any kind by their
// shape: a map whose containers are a list of maps with an image. A Rollout, a
// Knative Service, a training job with a template a role: each template is a
// Workload of the one owner.
//
// What runs pods stands in a namespace: the given one, where it names none.
// Policies hold such shapes as patterns, and are left alone.
func shapedWorkloads(object *unstructured.Unstructured, namespace string) []*Workload {
	if holdsPatterns(object.GroupVersionKind().Group) {
		return nil
	}
	f := &shapes{object: object, namespace: cmp.Or(object.GetNamespace(), namespace)}
	f.in(object.Object["spec"], []string{"spec"}, nil)
	return f.found
}

// shapes carries the search of one object.
type shapes struct {
	object    *unstructured.Unstructured
	namespace string
	found     []*Workload
}

// maxDepth bounds the search; real templates stand a handful of keys deep.
const maxDepth = 12

// in searches a value; holder is the map that it is the spec of.
func (f *shapes) in(value any, path []string, holder map[string]any) {
	if len(path) > maxDepth {
		return
	}
	switch value := value.(type) {
	case map[string]any:
		if hasContainers(value) {
			f.take(value, path, holder)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			f.in(value[key], append(slices.Clone(path), key), value)
		}
	case []any:
		for i, item := range value {
			last := len(path) - 1
			f.in(item, append(slices.Clone(path[:last]), fmt.Sprintf("%s[%d]", path[last], i)), nil)
		}
	}
}

// hasContainers reports whether a map looks like a pod's spec.
func hasContainers(spec map[string]any) bool {
	containers, ok := spec["containers"].([]any)
	if !ok || len(containers) == 0 {
		return false
	}
	for _, item := range containers {
		container, ok := item.(map[string]any)
		if image, named := container["image"].(string); !ok || !named || image == "" {
			return false
		}
	}
	return true
}

// take makes a Workload of a pod's spec; one that does not decode as such is
// no pod's spec.
func (f *shapes) take(spec map[string]any, path []string, holder map[string]any) {
	template := &corev1.PodTemplateSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &template.Spec); err != nil {
		return
	}
	if metadata, ok := holder["metadata"].(map[string]any); ok {
		// A template whose metadata does not decode is judged without labels.
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(metadata, &template.ObjectMeta)
	}
	meta := &metav1.ObjectMeta{
		Name: f.object.GetName(), Namespace: f.namespace, UID: f.object.GetUID(),
		Labels: f.object.GetLabels(), Annotations: f.object.GetAnnotations(), OwnerReferences: f.object.GetOwnerReferences(),
	}
	ref := RefOf(f.object.GetAPIVersion(), f.object.GetKind(), meta)
	w := newWorkload(ref, meta, template, strings.Join(path, "."), f.replicas())
	f.found = append(f.found, w)
}

// replicas is the object's own count of pods, where it has one.
func (f *shapes) replicas() *int32 {
	count, ok, err := unstructured.NestedInt64(f.object.Object, "spec", "replicas")
	if !ok || err != nil {
		return nil
	}
	narrow := int32(min(max(count, 0), 1<<30))
	return &narrow
}
