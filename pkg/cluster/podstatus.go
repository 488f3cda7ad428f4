package cluster

import (
	"crypto/sha256"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// decodeStatus decodes a pod's status. Pods of a template that are well differ in
// it by addresses and by times, which trimPod and newPod leave out; template is
// part of what tells two of them alike, for trimResources looks there.
func (s *sharer) decodeStatus(encoded []byte, template digest, pod *Pod) error {
	since, ready, err := readySince(encoded)
	if err != nil {
		return err
	}
	common := s.scratch[:0]
	common = append(common, template[:]...)
	err = eachField(encoded, func(number protowire.Number, field, value []byte) error {
		switch number {
		case 2:
			common, err = s.appendCondition(common, value, ready)
			return err
		case 5, 6, 12, 16: // addresses
		case 7:
			pod.Status.StartTime = &metav1.Time{}
			return unmarshal(pod.Status.StartTime, value)
		case 8, 10:
			status, err := s.alike(value)
			common = protowire.AppendTag(common, number, protowire.BytesType)
			common = protowire.AppendBytes(common, status)
			return err
		default:
			common = append(common, field...)
		}
		return nil
	})
	s.scratch = common
	if err != nil {
		return err
	}
	key := sha256.Sum256(common)
	known := s.statuses[key]
	if known == nil {
		known = &corev1.PodStatus{}
		if err := known.Unmarshal(common[len(template):]); err != nil {
			return err
		}
		trimStatus(known, pod.Spec.PodSpec)
		s.statuses[key] = known
	}
	pod.Status.PodStatus = known
	if ready {
		return unmarshal(&pod.Status.ReadySince, since)
	}
	return nil
}

// encodedCondition is a pod's condition as it is encoded.
type encodedCondition struct{ kind, status, since []byte }

func readCondition(encoded []byte) (c encodedCondition, err error) {
	err = eachField(encoded, func(number protowire.Number, _, value []byte) error {
		switch number {
		case 1:
			c.kind = value
		case 2:
			c.status = value
		case 4:
			c.since = value
		}
		return nil
	})
	return c, err
}

func (c encodedCondition) is(kind corev1.PodConditionType) bool {
	return string(c.kind) == string(kind)
}

func (c encodedCondition) holds() bool { return string(c.status) == string(corev1.ConditionTrue) }

// readySince is when a pod that is ready became so, as it is encoded.
func readySince(status []byte) (since []byte, ready bool, err error) {
	err = eachField(status, func(number protowire.Number, _, value []byte) error {
		if number != 2 {
			return nil
		}
		c, err := readCondition(value)
		if c.is(corev1.PodReady) {
			since, ready = c.since, ready || c.holds()
		}
		return err
	})
	return since, ready, err
}

// appendCondition appends an encoded condition that tells something; of a pod that
// is ready, without when it came to be so.
func (s *sharer) appendCondition(common, condition []byte, ready bool) ([]byte, error) {
	c, err := readCondition(condition)
	if err != nil || c.holds() && routine(corev1.PodConditionType(c.kind)) {
		return common, err
	}
	settled := ready && (c.is(corev1.PodReady) || c.is(corev1.PodScheduled))
	rest, err := s.without(condition, func(number protowire.Number, _ []byte) bool { return settled && number == 4 })
	common = protowire.AppendTag(common, 2, protowire.BytesType)
	return protowire.AppendBytes(common, rest), err
}

// running is an encoded state of a container (field 2 of its status) that runs,
// without since when.
const running = "\x12\x02\x12\x00"

// alike is an encoded container's status without what no two have in common: its
// ID and since when it runs; and without its mounts.
func (s *sharer) alike(status []byte) ([]byte, error) {
	runs := false
	rest, err := s.without(status, func(number protowire.Number, value []byte) bool {
		if number == 2 && isRunning(value) {
			runs = true
			return true
		}
		return number == 8 || number == 12
	})
	if runs {
		rest = append(rest, running...)
	}
	return rest, err
}

// isRunning reports whether an encoded state is that of a container that runs,
// and nothing else.
func isRunning(state []byte) bool {
	number, kind, tag := protowire.ConsumeTag(state)
	return tag > 0 && number == 2 && kind == protowire.BytesType && protowire.ConsumeFieldValue(number, kind, state[tag:]) == len(state)-tag
}
