package change

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// FieldManager is under which name changes are written. It does not start with
// "kubectl": Flux takes over the fields of managers that do (fluxcd/pkg,
// ssa/patch.go).
const FieldManager = "prod-harden"

// Touch is a field that a write changes: what stands there before and after;
// nil where nothing does. Items of lists are named by their key where they
// have a name of their own; any other list is a value as a whole.
type Touch struct {
	Path          fieldpath.Path
	Before, After any
}

// Diff is what turns one object into another, in the order of the fields'
// names. It leaves out what the API server keeps for itself: the status, and
// all metadata but labels and annotations.
func Diff(before, after *unstructured.Unstructured) []Touch {
	var touches []Touch
	diff(nil, owned(before), owned(after), &touches)
	return touches
}

// Same reports whether two diffs write the same.
func Same(a, b []Touch) bool {
	return slices.EqualFunc(a, b, func(x, y Touch) bool {
		return x.Path.Equals(y.Path) && equal(x.Before, y.Before) && equal(x.After, y.After)
	})
}

// Inverse are the touches that take others back.
func Inverse(touches []Touch) []Touch {
	var inverse []Touch
	for _, t := range slices.Backward(touches) {
		inverse = append(inverse, Touch{Path: t.Path, Before: t.After, After: t.Before})
	}
	return inverse
}

// owned is the part of an object that its writers own.
func owned(obj *unstructured.Unstructured) map[string]any {
	part := map[string]any{}
	for name, field := range obj.Object {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "status"}, name) {
			part[name] = field
		}
	}
	meta, _ := obj.Object["metadata"].(map[string]any)
	kept := map[string]any{}
	for _, name := range []string{"annotations", "labels"} {
		if values, ok := meta[name].(map[string]any); ok {
			kept[name] = withoutCounters(values)
		}
	}
	part["metadata"] = kept
	return part
}

// withoutCounters are annotations without those in which controllers and the
// API server count generations.
func withoutCounters(annotations map[string]any) map[string]any {
	kept := maps.Clone(annotations)
	delete(kept, "deprecated.daemonset.template.generation")
	delete(kept, "deployment.kubernetes.io/revision")
	return kept
}

func diff(path fieldpath.Path, before, after any, touches *[]Touch) {
	if equal(before, after) {
		return
	}
	was, wasMap := before.(map[string]any)
	is, isMap := after.(map[string]any)
	if wasMap && isMap {
		for _, name := range fieldNames(was, is) {
			diff(append(path, fieldpath.PathElement{FieldName: &name}), was[name], is[name], touches)
		}
		return
	}
	wasItems, wasList := before.([]any)
	isItems, isList := after.([]any)
	if wasList && isList && grows(wasItems, isItems) {
		for i, item := range isItems {
			var earlier any
			if i < len(wasItems) {
				earlier = wasItems[i]
			}
			key := Item("name", itemName(item))
			diff(append(path, fieldpath.PathElement{Key: key}), earlier, item, touches)
		}
		return
	}
	*touches = append(*touches, Touch{
		Path: path.Copy(), Before: runtime.DeepCopyJSONValue(before), After: runtime.DeepCopyJSONValue(after),
	})
}

func fieldNames(a, b map[string]any) []string {
	var names []string
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// grows reports whether the items of a list all have names, no two the same,
// and another list holds the same, in the same places, and perhaps more after
// them: then each item is a field of its own.
func grows(before, after []any) bool {
	if len(before) > len(after) || len(before) == 0 {
		return false
	}
	seen := map[string]bool{}
	for i, item := range after {
		name := itemName(item)
		if name == "" || seen[name] || i < len(before) && itemName(before[i]) != name {
			return false
		}
		seen[name] = true
	}
	return true
}

func itemName(item any) string {
	fields, _ := item.(map[string]any)
	name, _ := fields["name"].(string)
	return name
}

// equal takes a null for nothing, as the API server does.
func equal(a, b any) bool { return equality.Semantic.DeepEqual(a, b) }

// ChangedError is that a field does not hold what a Touch says it held.
type ChangedError struct {
	Path fieldpath.Path
	// Now is what stands there; nil where nothing does.
	Now any
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s has been changed meanwhile", Pathname(e.Path))
}

// Stands reports whether a field holds what it held before a touch, and
// whether it holds what the touch writes.
func (t Touch) Stands(obj *unstructured.Unstructured) (before, after bool) {
	now, _ := Value(obj, t.Path)
	return equal(now, t.Before), equal(now, t.After)
}

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// JSONPatch is a JSON patch that makes the touches in an object as it was read.
// It tests the object's UID and resource version and every value that it
// replaces or removes, so that it does what it says or nothing. A [ChangedError] names
// the first field that does not hold what it held before.
func JSONPatch(obj *unstructured.Unstructured, touches []Touch) ([]byte, error) {
	operations := []operation{
		{"test", "/metadata/uid", string(obj.GetUID())},
		{"test", "/metadata/resourceVersion", obj.GetResourceVersion()},
	}
	// Positions shift with each operation: every pointer is that of the object
	// as the operations before it leave it.
	work := obj.DeepCopy()
	for _, t := range touches {
		now, there := Value(work, t.Path)
		if !equal(now, t.Before) {
			return nil, &ChangedError{t.Path, now}
		}
		pointer, err := pointerTo(work.Object, t.Path)
		if err != nil {
			return nil, err
		}
		if there {
			operations = append(operations, operation{"test", pointer, now})
		}
		switch {
		case t.After == nil && there:
			operations = append(operations, operation{Op: "remove", Path: pointer})
			removeAt(work, t.Path)
		case t.After == nil:
		case there:
			operations = append(operations, operation{"replace", pointer, t.After})
			work.Object, _ = write(work.Object, t.Path, t.After).(map[string]any)
		default:
			operations = append(operations, operation{"add", pointer, t.After})
			work.Object, _ = write(work.Object, t.Path, t.After).(map[string]any)
		}
	}
	return json.Marshal(operations)
}

// removeAt removes the field or the list item at a path.
func removeAt(obj *unstructured.Unstructured, path fieldpath.Path) {
	last := path[len(path)-1]
	if last.Key == nil {
		remove(obj.Object, path)
		return
	}
	items, _ := Value(obj, path[:len(path)-1])
	list, _ := items.([]any)
	if at := find(list, *last.Key); at >= 0 {
		obj.Object, _ = write(obj.Object, path[:len(path)-1], slices.Delete(slices.Clone(list), at, at+1)).(map[string]any)
	}
}

// pointerTo is a path as a JSON pointer (RFC 6901) in an object; to an item that a
// list lacks it is the end of the list. What the path's last step is in must be
// there.
func pointerTo(node any, path fieldpath.Path) (string, error) {
	var b strings.Builder
	for i, step := range path {
		b.WriteByte('/')
		switch {
		case step.FieldName != nil:
			b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(*step.FieldName))
		case step.Key != nil:
			items, _ := node.([]any)
			if at := find(items, *step.Key); at >= 0 {
				b.WriteString(strconv.Itoa(at))
			} else {
				b.WriteByte('-')
			}
		default:
			return "", fmt.Errorf("%s leads through a position in a list", path)
		}
		if node = child(node, step); node == nil && i < len(path)-1 {
			return "", &ChangedError{Path: path[:i+1]}
		}
	}
	return b.String(), nil
}

// Pathname is a path as people write it: spec.template.spec.containers[web].image.
func Pathname(path fieldpath.Path) string {
	var b strings.Builder
	for _, step := range path {
		switch {
		case step.FieldName != nil && strings.ContainsAny(*step.FieldName, "./"):
			fmt.Fprintf(&b, "[%s]", *step.FieldName)
		case step.FieldName != nil:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(*step.FieldName)
		case step.Key != nil:
			var values []string
			for _, key := range *step.Key {
				values = append(values, fmt.Sprint(key.Value.Unstructured()))
			}
			fmt.Fprintf(&b, "[%s]", strings.Join(values, "/"))
		default:
			b.WriteString(step.String())
		}
	}
	return b.String()
}

// touchJSON is how a Touch is kept in a file.
type touchJSON struct {
	Path   []string `json:"path"`
	Before any      `json:"before,omitempty"`
	After  any      `json:"after,omitempty"`
}

// MarshalJSON writes the path in the notation of managedFields.
func (t Touch) MarshalJSON() ([]byte, error) {
	kept := touchJSON{Before: t.Before, After: t.After}
	for _, step := range t.Path {
		text, err := fieldpath.SerializePathElement(step)
		if err != nil {
			return nil, err
		}
		kept.Path = append(kept.Path, text)
	}
	return json.Marshal(kept)
}

// UnmarshalJSON reads what MarshalJSON wrote; whole numbers stay whole.
func (t *Touch) UnmarshalJSON(data []byte) error {
	var kept touchJSON
	if err := utiljson.Unmarshal(data, &kept); err != nil {
		return err
	}
	*t = Touch{Before: kept.Before, After: kept.After}
	for _, text := range kept.Path {
		step, err := fieldpath.DeserializePathElement(text)
		if err != nil {
			return err
		}
		t.Path = append(t.Path, step)
	}
	return nil
}
