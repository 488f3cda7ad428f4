package cluster

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// sharer gives pods made from one template one copy of what they have in
// common, which is most of a pod: without it, a fleet of 20,000 pods takes
// twice the memory. What is shared is never written to.
type sharer struct {
	specs map[string]corev1.PodSpec // by their protobuf encoding
	meta  map[types.UID]*corev1.Pod // the first pod of each controller
	bytes []byte                    // scratch
}

func newSharer() *sharer {
	return &sharer{specs: map[string]corev1.PodSpec{}, meta: map[types.UID]*corev1.Pod{}}
}

// share replaces the parts of a trimmed pod that an earlier one has too; other
// objects it leaves as they are.
func (s *sharer) share(obj runtime.Object) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	s.shareMeta(pod)
	common := pod.Spec
	common.NodeName, common.Hostname, common.Affinity = "", "", nil
	key, err := s.encode(&common)
	if err != nil {
		return // held by itself, and as good
	}
	known, found := s.specs[string(key)]
	if !found {
		s.specs[string(key)] = common
		return
	}
	known.NodeName, known.Hostname, known.Affinity = pod.Spec.NodeName, pod.Spec.Hostname, pod.Spec.Affinity
	pod.Spec = known
}

// shareMeta shares the labels and annotations of a controller's pods.
func (s *sharer) shareMeta(pod *corev1.Pod) {
	if len(pod.OwnerReferences) == 0 {
		return
	}
	first, found := s.meta[pod.OwnerReferences[0].UID]
	if !found {
		s.meta[pod.OwnerReferences[0].UID] = pod
		return
	}
	if maps.Equal(first.Labels, pod.Labels) {
		pod.Labels = first.Labels
	}
	if maps.Equal(first.Annotations, pod.Annotations) {
		pod.Annotations = first.Annotations
	}
	if len(first.OwnerReferences) == 1 && len(pod.OwnerReferences) == 1 {
		pod.OwnerReferences = first.OwnerReferences
	}
}

// encode returns scratch that the next call overwrites.
func (s *sharer) encode(spec *corev1.PodSpec) ([]byte, error) {
	size := spec.Size()
	if cap(s.bytes) < size {
		s.bytes = make([]byte, 2*size)
	}
	n, err := spec.MarshalToSizedBuffer(s.bytes[:size])
	return s.bytes[size-n : size], err
}
