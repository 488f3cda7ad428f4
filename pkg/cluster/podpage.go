package cluster

import (
	"crypto/sha256"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// decodePods decodes a PodList's message, and trims and shares the pods on the
// way. Pods are most of what a large cluster answers, and those of a template
// differ in few bytes: what they have in common is recognised by its encoding, and
// decoded once. The numbers of fields are those of Kubernetes' generated.proto.
func (s *sharer) decodePods(message []byte) (*corev1.PodList, error) {
	list := &corev1.PodList{}
	var items [][]byte
	err := eachField(message, func(number protowire.Number, field, value []byte) error {
		if number != 2 {
			return list.Unmarshal(field)
		}
		items = append(items, value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	list.Items = slices.Grow(list.Items, len(items))[:len(items)] // nil where there are none
	for i, item := range items {
		if err := s.decodePod(item, &list.Items[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// decodePod decodes a pod, trimmed and shared.
func (s *sharer) decodePod(encoded []byte, pod *corev1.Pod) error {
	var seen protowire.Number
	err := eachField(encoded, func(number protowire.Number, field, value []byte) error {
		if number <= seen {
			return errOdd // given twice, which would have to be merged
		}
		seen = number
		switch number {
		case 1:
			return s.decodeMeta(value, pod)
		case 2:
			return s.decodeSpec(value, &pod.Spec)
		default:
			return pod.Unmarshal(field)
		}
	})
	if err == nil {
		trimPod(pod)
	}
	return err
}

// decodeMeta decodes a pod's metadata: what it shares with the others of its
// controller (namespace, labels, annotations, owner, finalizers) is decoded once,
// and managed fields, a third of a pod's bytes, never.
func (s *sharer) decodeMeta(encoded []byte, pod *corev1.Pod) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	common, own := s.scratch[:0], s.own[:0]
	err := eachField(encoded, func(number protowire.Number, field, _ []byte) error {
		switch number {
		case 3, 11, 12, 13, 14:
			common = append(common, field...)
		case 17:
		default:
			own = append(own, field...)
		}
		return nil
	})
	s.scratch, s.own = common, own
	if err != nil {
		return err
	}
	key := sha256.Sum256(common)
	known := s.metas[key]
	if known == nil {
		known = &metav1.ObjectMeta{}
		if err := known.Unmarshal(common); err != nil {
			return err
		}
		trimMeta(known)
		s.sharePodMeta(known)
		s.metas[key] = known
	}
	pod.ObjectMeta = *known
	return pod.ObjectMeta.Unmarshal(own)
}

// decodeSpec decodes a pod's spec. Beside where it runs (nodeName, hostname,
// affinity), a pod of a template has as its own the volume of its ServiceAccount,
// whose name is random.
func (s *sharer) decodeSpec(encoded []byte, spec *corev1.PodSpec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	common, own := s.scratch[:0], s.own[:0]
	err := eachField(encoded, func(number protowire.Number, field, value []byte) error {
		switch number {
		case 10, 16, 18:
			own = append(own, field...)
		case 1:
			if !isServiceAccountVolume(value) {
				common = append(common, field...)
			}
		case 2, 20:
			container, err := s.withoutToken(value)
			common = protowire.AppendTag(common, number, protowire.BytesType)
			common = protowire.AppendBytes(common, container)
			return err
		default:
			common = append(common, field...)
		}
		return nil
	})
	s.scratch, s.own = common, own
	if err != nil {
		return err
	}
	key := sha256.Sum256(common)
	known := s.specs[key]
	if known == nil {
		known = &corev1.PodSpec{}
		if err := known.Unmarshal(common); err != nil {
			return err
		}
		trimPodSpec(known)
		s.shareContainers(known)
		s.specs[key] = known
	}
	*spec = *known
	return spec.Unmarshal(own)
}

// withoutToken is an encoded container without its mounts of the volume that
// each pod has under another name.
func (s *sharer) withoutToken(container []byte) ([]byte, error) {
	rest := s.container[:0]
	err := eachField(container, func(number protowire.Number, field, value []byte) error {
		if number != 9 || !isServiceAccountVolume(value) {
			rest = append(rest, field...)
		}
		return nil
	})
	s.container = rest
	return rest, err
}

// isServiceAccountVolume reports whether an encoded volume, or mount of one, is
// that of the pod's ServiceAccount; the name is the first field of both.
func isServiceAccountVolume(encoded []byte) bool {
	var name string
	_ = eachField(encoded, func(number protowire.Number, _, value []byte) error {
		if number == 1 {
			name = string(value)
		}
		return nil
	})
	return strings.HasPrefix(name, serviceAccountVolume)
}
