package change

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// Text is a change as a person edits it: the new object, or the edited fields
// as a strategic merge patch, in which a null removes.
func Text(c Change) string {
	obj := c.ApplyConfiguration()
	for _, edit := range c.Edits {
		if edit.Value == nil {
			obj.Object, _ = write(obj.Object, edit.Path, nil).(map[string]any)
		}
	}
	text, err := yaml.Marshal(obj.Object)
	if err != nil {
		return fmt.Sprintf("# cannot be shown: %v\n", err)
	}
	return string(text)
}

// Parse reads a Text that a person has edited. It is of the same object, and
// creates where the other did.
func Parse(c Change, text []byte) (Change, error) {
	obj := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(text, &obj.Object); err != nil {
		return c, fmt.Errorf("it is no YAML: %w", err)
	}
	if ref := cluster.RefTo(obj); ref != c.Object {
		return c, fmt.Errorf("it is %s in namespace %q, and has to stay %s in %q", ref, ref.Namespace, c.Object, c.Object.Namespace)
	}
	body := obj.UnstructuredContent()
	for _, name := range []string{"apiVersion", "kind"} {
		delete(body, name)
	}
	unstructured.RemoveNestedField(body, "metadata", "name")
	unstructured.RemoveNestedField(body, "metadata", "namespace")
	if meta, ok := body["metadata"].(map[string]any); ok && len(meta) == 0 {
		delete(body, "metadata")
	}
	body, ok := wholeNumbers(body).(map[string]any)
	if !ok || len(body) == 0 {
		return c, errors.New("it changes nothing")
	}
	if c.Create != nil {
		return Change{Object: c.Object, Create: body}, nil
	}
	edited := Change{Object: c.Object}
	edits(nil, body, &edited.Edits)
	return edited, nil
}

// edits are what sets the leaves of a patch. Lists whose items have names are
// merged by them, others are a value as a whole.
func edits(path fieldpath.Path, value any, all *[]Edit) {
	switch held := value.(type) {
	case map[string]any:
		if len(held) > 0 {
			for _, name := range fieldNames(held, nil) {
				if len(path) > 0 && path[len(path)-1].Key != nil && name == "name" {
					continue // the item's key
				}
				edits(append(path.Copy(), fieldpath.PathElement{FieldName: &name}), held[name], all)
			}
			return
		}
	case []any:
		if len(held) > 0 && grows(held, held) {
			for _, item := range held {
				edits(append(path.Copy(), fieldpath.PathElement{Key: Item("name", itemName(item))}), item, all)
			}
			return
		}
	}
	*all = append(*all, Edit{Path: path.Copy(), Value: value})
}

// wholeNumbers turns YAML's numbers into those of Kubernetes' objects.
func wholeNumbers(value any) any {
	switch held := value.(type) {
	case map[string]any:
		for name := range held {
			held[name] = wholeNumbers(held[name])
		}
	case []any:
		for i := range held {
			held[i] = wholeNumbers(held[i])
		}
	case float64:
		if whole := int64(held); float64(whole) == held {
			return whole
		}
	}
	return value
}
