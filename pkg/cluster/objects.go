package cluster

import (
	"iter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Kinds are all that can be read.
func Kinds() []Kind {
	var kinds []Kind
	for _, reading := range readings() {
		kinds = append(kinds, reading.kind)
	}
	return kinds
}

// Objects are the objects of a kind, as they were read: of metadata-only kinds
// the metadata.
func (s *Snapshot) Objects(kind Kind) iter.Seq2[Ref, runtime.Object] {
	return func(yield func(Ref, runtime.Object) bool) {
		for _, reading := range readings() {
			if reading.kind != kind {
				continue
			}
			more := true
			reading.each(s, func(obj metav1.Object) {
				if object := asRead(obj); object != nil && more {
					more = yield(reading.ref(obj), object)
				}
			})
		}
	}
}

// Object finds an object; nil when it is not in the Snapshot.
func (s *Snapshot) Object(ref Ref) runtime.Object {
	return asRead(s.metaOf(ref))
}

// asRead is an object as the API serves it.
func asRead(obj metav1.Object) runtime.Object {
	if pod, is := obj.(*Pod); is {
		return pod.Whole()
	}
	object, _ := obj.(runtime.Object)
	return object
}
