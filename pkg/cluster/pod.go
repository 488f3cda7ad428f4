package cluster

import (
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Pod is what a Snapshot keeps of a pod, and reads as a corev1.Pod does. What
// pods have in common, those of a template their spec, and those that are well
// their status, is there once and never written to: so that 100,000 pods take no
// more than their names, nodes and times.
type Pod struct {
	metav1.ObjectMeta
	Spec   PodSpec
	Status PodStatus
}

// PodSpec is a pod's spec. The shared part has none of the fields beside it.
type PodSpec struct {
	*corev1.PodSpec
	NodeName, Hostname string
	Affinity           *corev1.Affinity
}

// PodStatus is a pod's status. The shared part has none of the fields beside it,
// and in its conditions of a pod that is ready, no time at which it got so.
type PodStatus struct {
	*corev1.PodStatus
	StartTime *metav1.Time
	// ReadySince is when a pod that is ready became so; zero of another.
	ReadySince metav1.Time
}

// newPod takes a pod over. It is trimmed already, and not to be used afterwards.
func newPod(whole *corev1.Pod) *Pod {
	spec, status := whole.Spec, whole.Status
	pod := &Pod{
		ObjectMeta: whole.ObjectMeta,
		Spec:       PodSpec{&spec, spec.NodeName, spec.Hostname, spec.Affinity},
		Status:     PodStatus{PodStatus: &status, StartTime: status.StartTime},
	}
	spec.NodeName, spec.Hostname, spec.Affinity = "", "", nil
	status.StartTime = nil
	if !isReady(status.Conditions) {
		return pod
	}
	for i := range status.Conditions {
		switch c := &status.Conditions[i]; c.Type {
		case corev1.PodReady:
			pod.Status.ReadySince, c.LastTransitionTime = c.LastTransitionTime, metav1.Time{}
		case corev1.PodScheduled:
			c.LastTransitionTime = metav1.Time{}
		}
	}
	return pod
}

func isReady(conditions []corev1.PodCondition) bool {
	return slices.ContainsFunc(conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// Whole is the pod as the libraries of Kubernetes take it: a new one, whose parts
// are shared and not to be written to.
func (p *Pod) Whole() *corev1.Pod {
	whole := &corev1.Pod{ObjectMeta: p.ObjectMeta, Spec: *p.Spec.PodSpec, Status: *p.Status.PodStatus}
	whole.Spec.NodeName, whole.Spec.Hostname, whole.Spec.Affinity = p.Spec.NodeName, p.Spec.Hostname, p.Spec.Affinity
	whole.Status.StartTime = p.Status.StartTime
	if !p.Status.ReadySince.IsZero() {
		whole.Status.Conditions = slices.Clone(whole.Status.Conditions)
		for i := range whole.Status.Conditions {
			if c := &whole.Status.Conditions[i]; c.Type == corev1.PodReady {
				c.LastTransitionTime = p.Status.ReadySince
			}
		}
	}
	return whole
}

// IsReady reports whether a pod takes requests.
func (p *Pod) IsReady() bool { return isReady(p.Status.Conditions) }

// Statuses are those of its containers, init containers first.
func (p *Pod) Statuses() iter.Seq[*corev1.ContainerStatus] {
	return func(yield func(*corev1.ContainerStatus) bool) {
		for _, statuses := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
			for i := range statuses {
				if !yield(&statuses[i]) {
					return
				}
			}
		}
	}
}

// PodSpecs are what the pods of a namespace run, each spec once for all pods that
// have it in common.
func (s *Snapshot) PodSpecs() iter.Seq2[string, *corev1.PodSpec] {
	return func(yield func(string, *corev1.PodSpec) bool) {
		type place struct {
			namespace string
			spec      *corev1.PodSpec
		}
		seen := map[place]bool{}
		for _, pod := range s.Pods {
			at := place{pod.Namespace, pod.Spec.PodSpec}
			if !seen[at] && !yield(pod.Namespace, pod.Spec.PodSpec) {
				return
			}
			seen[at] = true
		}
	}
}

// GetObjectKind makes a Pod an object of the API machinery; as one of a list it
// does not tell its kind.
func (*Pod) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject makes a Pod an object of the API machinery.
func (p *Pod) DeepCopyObject() runtime.Object { return newPod(p.Whole().DeepCopy()) }

// pods is their reading: pages come as Pods, or from servers without protobuf and
// from manifests as Kubernetes has them.
func pods() reading {
	r := typed(Pods, "v1", "Pod", func(s *Snapshot) *[]*Pod { return &s.Pods })
	r.keep = func(s *Snapshot, obj runtime.Object) {
		switch pod := obj.(type) {
		case *Pod:
			s.Pods = append(s.Pods, pod)
		case *corev1.Pod:
			s.Pods = append(s.Pods, newPod(pod))
		}
	}
	r.empty = func() runtime.Object { return &corev1.Pod{} }
	return r
}
