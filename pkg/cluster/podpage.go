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
func (s *sharer) decodePods(message []byte) (*ownList[Pod], error) {
	list := &ownList[Pod]{}
	var items [][]byte
	err := eachField(message, func(number protowire.Number, _, value []byte) error {
		switch number {
		case 1:
			return unmarshal(&list.ListMeta, value)
		case 2:
			items = append(items, value)
		}
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

// unmarshal decodes a field that is a message.
func unmarshal(into interface{ Unmarshal(message []byte) error }, value []byte) error {
	if value == nil {
		return errOdd
	}
	return into.Unmarshal(value)
}

// decodePod decodes a pod, trimmed and shared.
func (s *sharer) decodePod(encoded []byte, pod *Pod) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var parts [4][]byte
	err := eachField(encoded, func(number protowire.Number, _, value []byte) error {
		if number > 3 || parts[number] != nil || value == nil {
			return errOdd // not known, or given twice, which would have to be merged
		}
		parts[number] = value
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.decodeMeta(parts[1], &pod.ObjectMeta); err != nil {
		return err
	}
	template, err := s.decodeSpec(parts[2], &pod.Spec)
	if err != nil {
		return err
	}
	return s.decodeStatus(parts[3], template, pod)
}

// decodeMeta decodes a pod's metadata: what it shares with the others of its
// controller (namespace, labels, annotations, owner, finalizers) is decoded once,
// and managed fields, a third of a pod's bytes, never.
func (s *sharer) decodeMeta(encoded []byte, pod *metav1.ObjectMeta) error {
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
	*pod = *known
	if err := pod.Unmarshal(own); err != nil {
		return err
	}
	intern(&pod.Namespace)
	pod.ResourceVersion, pod.GenerateName = "", ""
	return nil
}

// decodeSpec decodes a pod's spec. Beside where it runs (nodeName, hostname,
// affinity), a pod of a template has as its own the volume of its ServiceAccount,
// whose name is random. The digest stands for what is shared.
func (s *sharer) decodeSpec(encoded []byte, spec *PodSpec) (digest, error) {
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
			container, err := s.without(value, isToken)
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
		return digest{}, err
	}
	key := sha256.Sum256(common)
	known := s.specs[key]
	if known == nil {
		known = &corev1.PodSpec{}
		if err := known.Unmarshal(common); err != nil {
			return key, err
		}
		trimPodSpec(known)
		s.shareContainers(known)
		s.specs[key] = known
	}
	s.placed = corev1.PodSpec{}
	err = s.placed.Unmarshal(own)
	intern(&s.placed.NodeName)
	*spec = PodSpec{known, s.placed.NodeName, s.placed.Hostname, s.placed.Affinity}
	return key, err
}

// without is an encoded message without some of its fields. It lasts until the
// next call.
func (s *sharer) without(message []byte, drop func(number protowire.Number, value []byte) bool) ([]byte, error) {
	rest := s.rest[:0]
	err := eachField(message, func(number protowire.Number, field, value []byte) error {
		if !drop(number, value) {
			rest = append(rest, field...)
		}
		return nil
	})
	s.rest = rest
	return rest, err
}

// isToken reports whether a field of an encoded container is a mount of the volume
// that each pod has under another name.
func isToken(number protowire.Number, value []byte) bool {
	return number == 9 && isServiceAccountVolume(value)
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
