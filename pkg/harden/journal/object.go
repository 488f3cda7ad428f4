package journal

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
)

// Standing is how an object stands to a change of it.
type Standing int

// The standings.
const (
	// Before: it is as it was before the change, or not there if the change
	// makes it.
	Before Standing = iota
	// After: it holds what the change wrote, or a part of it and is otherwise as
	// before.
	After
	// Changed: somebody has changed since what the change wrote.
	Changed
	// Gone: it is no longer there, or another one has taken its name.
	Gone
)

// Standing compares an object as it is now, nil where it is not there, with
// what the change wrote. which are the fields that somebody has changed.
func (o *Object) Standing(now *unstructured.Unstructured) (standing Standing, which []string) {
	if o.Created != nil {
		return o.createdStanding(now)
	}
	if now == nil || now.GetUID() != o.UID {
		return Gone, nil
	}
	allBefore, allAfter := true, true // both, where nothing was touched
	for _, t := range o.Touches {
		before, after := t.Stands(now)
		allBefore, allAfter = allBefore && before, allAfter && after
		if !before && !after {
			which = append(which, change.Pathname(t.Path))
		}
	}
	switch {
	case allBefore && !allAfter:
		return Before, nil
	case len(which) == 0:
		return After, nil
	}
	return Changed, which
}

// createdStanding is the Standing of an object that the change makes.
func (o *Object) createdStanding(now *unstructured.Unstructured) (Standing, []string) {
	switch {
	case now == nil:
		return Before, nil
	case o.UID != "" && now.GetUID() != o.UID:
		return Gone, nil
	case o.UID == "" && writtenByHarden(now):
		return After, nil // sent, and nobody had the time to confirm it
	}
	made := &unstructured.Unstructured{Object: o.Created}
	var which []string
	for _, t := range change.Diff(made, now) {
		// Before the write is confirmed, what the API server adds is not known.
		if o.UID != "" || t.Before != nil {
			which = append(which, change.Pathname(t.Path))
		}
	}
	if len(which) > 0 {
		return Changed, which
	}
	return After, nil
}

// writtenByHarden reports whether nobody else has written an object, its status
// aside.
func writtenByHarden(obj *unstructured.Unstructured) bool {
	for _, entry := range obj.GetManagedFields() {
		if entry.Subresource == "" && entry.Manager != change.FieldManager {
			return false
		}
	}
	return len(obj.GetManagedFields()) > 0
}

// Wrote notes what the API server made of the write. before is nil where the
// answer was lost: what was intended then stays noted.
func (o *Object) Wrote(before, after *unstructured.Unstructured) {
	o.UID, o.ResourceVersion, o.Written = after.GetUID(), after.GetResourceVersion(), true
	if o.Created != nil {
		kept := after.DeepCopy()
		kept.SetManagedFields(nil)
		unstructured.RemoveNestedField(kept.Object, "status")
		o.Created = kept.Object
		return
	}
	if before != nil {
		o.Touches = change.Diff(before, after)
	}
}
