// Package change says what to write into objects, apart from how it is written:
// as a server-side apply, a JSON patch, a manifest's lines or a kustomize patch.
package change

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// Change writes one object: it makes a new one, or edits one that is there.
type Change struct {
	Object cluster.Ref
	// Create is the body of a new object (its labels and spec, say), without
	// what Object says; nil where Edits change an object that is there.
	Create map[string]any
	Edits  []Edit
}

// Edit sets or removes one field.
type Edit struct {
	// Path leads to the field. Items of lists are named by the keys that the
	// API server merges them by, never by position:
	// .spec.template.spec.containers[name="web"].resources.limits.memory
	Path fieldpath.Path
	// Value is what the field becomes, in JSON's types (string, bool, int64,
	// float64, []any, map[string]any); nil removes it, or the item of a list.
	Value any
}

// Set is an Edit that sets the field at a path of names of fields and [Item]s.
func Set(to any, path ...any) Edit {
	return Edit{Path: fieldpath.MakePathOrDie(path...), Value: to}
}

// Remove is an Edit that removes the field at a path, as [Set] takes it.
func Remove(path ...any) Edit { return Edit{Path: fieldpath.MakePathOrDie(path...)} }

// Item is the part of a path that picks the item of a list whose keys have
// these values: Item("name", "web").
func Item(keysAndValues ...any) *value.FieldList { return fieldpath.KeyByFields(keysAndValues...) }

// Body is a new object in full.
func (c Change) Body() *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(c.Create)}
	c.name(obj)
	return obj
}

// ApplyConfiguration is what a server-side apply sends: a new object in full,
// else the edited fields alone, with the keys of the list items they are in.
// Removals are not in it: an apply removes nothing that it does not own.
func (c Change) ApplyConfiguration() *unstructured.Unstructured {
	if c.Create != nil {
		return c.Body()
	}
	obj := &unstructured.Unstructured{Object: map[string]any{}}
	for _, edit := range c.Edits {
		if edit.Value != nil {
			obj.Object, _ = write(obj.Object, edit.Path, edit.Value).(map[string]any)
		}
	}
	c.name(obj)
	return obj
}

// name writes what Object says.
func (c Change) name(obj *unstructured.Unstructured) {
	obj.SetAPIVersion(c.Object.APIVersion)
	obj.SetKind(c.Object.Kind)
	obj.SetName(c.Object.Name)
	if c.Object.Namespace != "" {
		obj.SetNamespace(c.Object.Namespace)
	}
}

// ApplyTo makes the edits in an object, in place. It fails, and may have made
// some of them, where an edit names an item that the object lacks.
func (c Change) ApplyTo(obj *unstructured.Unstructured) error {
	for _, edit := range c.Edits {
		if missing := missingItem(obj.Object, edit.Path); missing != nil {
			return fmt.Errorf("%s has no %s", c.Object, missing)
		}
		if edit.Value == nil {
			obj.Object, _ = remove(obj.Object, edit.Path).(map[string]any)
			continue
		}
		obj.Object, _ = write(obj.Object, edit.Path, edit.Value).(map[string]any)
	}
	return nil
}

// write returns node with the value set at path; what is missing on the way is
// made, items of lists with their keys.
func write(node any, path fieldpath.Path, to any) any {
	if len(path) == 0 {
		return runtime.DeepCopyJSONValue(to)
	}
	switch step := path[0]; {
	case step.FieldName != nil:
		fields, ok := node.(map[string]any)
		if !ok {
			fields = map[string]any{}
		}
		fields[*step.FieldName] = write(fields[*step.FieldName], path[1:], to)
		return fields
	case step.Key != nil:
		items, _ := node.([]any)
		at := find(items, *step.Key)
		if at < 0 {
			items, at = append(items, keysOf(*step.Key)), len(items)
		}
		items[at] = write(items[at], path[1:], to)
		return items
	default:
		return node
	}
}

// remove returns node without the field, or the item of a list, at path.
func remove(node any, path fieldpath.Path) any {
	switch step := path[0]; {
	case step.FieldName != nil:
		fields, ok := node.(map[string]any)
		if !ok {
			return node
		}
		if held, set := fields[*step.FieldName]; set && len(path) > 1 {
			fields[*step.FieldName] = remove(held, path[1:])
		} else {
			delete(fields, *step.FieldName)
		}
	case step.Key != nil:
		items, _ := node.([]any)
		at := find(items, *step.Key)
		if at < 0 {
			return node
		}
		if len(path) == 1 {
			return slices.Delete(slices.Clone(items), at, at+1)
		}
		items[at] = remove(items[at], path[1:])
	}
	return node
}

// missingItem is the path to the first list item on the way to path that an
// object lacks; nil where there is none. An item at the path's very end is to
// be made, and so is what stands in a list that is not there yet.
func missingItem(node any, path fieldpath.Path) fieldpath.Path {
	for i, step := range path {
		next := child(node, step)
		if step.Key != nil && next == nil && i < len(path)-1 {
			return path[:i+1]
		}
		node = next
	}
	return nil
}

// Value is what stands at a path in an object; false where nothing does.
func Value(obj *unstructured.Unstructured, path fieldpath.Path) (any, bool) {
	var node any = obj.Object
	for _, step := range path {
		if node = child(node, step); node == nil {
			return nil, false
		}
	}
	return node, true
}

func child(node any, step fieldpath.PathElement) any {
	switch {
	case step.FieldName != nil:
		fields, _ := node.(map[string]any)
		return fields[*step.FieldName]
	case step.Key != nil:
		items, _ := node.([]any)
		if at := find(items, *step.Key); at >= 0 {
			return items[at]
		}
	}
	return nil
}

// find is the index of the item with these keys, or -1.
func find(items []any, keys value.FieldList) int {
	for i, item := range items {
		if fields, ok := item.(map[string]any); ok && has(fields, keys) {
			return i
		}
	}
	return -1
}

func has(fields map[string]any, keys value.FieldList) bool {
	for _, key := range keys {
		if held, set := fields[key.Name]; !set || !value.Equals(value.NewValueInterface(held), key.Value) {
			return false
		}
	}
	return true
}

func keysOf(keys value.FieldList) map[string]any {
	fields := map[string]any{}
	for _, key := range keys {
		fields[key.Name] = key.Value.Unstructured()
	}
	return fields
}
