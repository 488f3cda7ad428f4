// Package manifests mends manifests as a person would edit them: the lines that
// a change is about are written, and every other stays as it is, comments,
// order, quotes and blank lines included.
package manifests

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// Edit makes the edits of a change in the text of a file that holds its
// object; namespace is that of objects that name none. The result is held
// against the change: where the text cannot be edited line by line (aliases,
// merge keys), that is an error, and never something else than was wanted.
func Edit(text []byte, made change.Change, namespace string) ([]byte, error) {
	file := read(text)
	before, err := file.find(made.Object, namespace)
	if err != nil {
		return nil, err
	}
	wanted := before.object.DeepCopy()
	if err := made.ApplyTo(wanted); err != nil {
		return nil, err
	}
	// What is set comes first, so that no map is empty in between.
	edits := slices.Clone(made.Edits)
	slices.SortStableFunc(edits, func(a, b change.Edit) int { return order(a) - order(b) })
	for _, edit := range edits {
		at, err := file.find(made.Object, namespace)
		if err != nil {
			return nil, err
		}
		if edit.Value == nil {
			err = file.remove(at, edit.Path)
		} else {
			err = file.set(at, edit.Path, edit.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", at.line(), err)
		}
	}
	after, err := file.find(made.Object, namespace)
	if err != nil {
		return nil, fmt.Errorf("the edited text does not parse: %w", err)
	}
	if !equality.Semantic.DeepEqual(pruned(after.object.Object), pruned(wanted.Object)) {
		return nil, fmt.Errorf("line %d: the YAML is written in a way that cannot be edited line by line: edit it by hand", before.line())
	}
	return file.bytes(), nil
}

func order(edit change.Edit) int {
	if edit.Value == nil {
		return 1
	}
	return 0
}

// pruned leaves out what is empty: a map whose last field was removed may stay
// as {} or go; and takes whole numbers for numbers.
func pruned(value any) any {
	switch value := value.(type) {
	case int64:
		return float64(value)
	case []any:
		items := make([]any, len(value))
		for i, item := range value {
			items[i] = pruned(item)
		}
		return items
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return value
	}
	kept := map[string]any{}
	for name, held := range fields {
		held = pruned(held)
		if m, isMap := held.(map[string]any); held != nil && (!isMap || len(m) > 0) {
			kept[name] = held
		}
	}
	return kept
}

// Append adds a new object to a file as a document of its own. Where the
// object beside which it is made names no namespace, it names none either.
func Append(text []byte, made change.Change, beside cluster.Ref, namespace string) ([]byte, error) {
	file := read(text)
	body := made.Body()
	if at, err := file.find(beside, namespace); err == nil && at.object.GetNamespace() == "" && at.object.GetKind() != "Namespace" {
		body.SetNamespace("")
	}
	wide := false
	for _, doc := range file.documents() {
		wide = wide || indentsSequences(doc.root)
	}
	if file.isJSON() {
		return nil, fmt.Errorf("it is JSON, which holds one object: write %s to another file", made.Object)
	}
	for len(file.lines) > 0 && strings.TrimSpace(file.lines[len(file.lines)-1]) == "" {
		file.lines = file.lines[:len(file.lines)-1]
	}
	if len(file.lines) > 0 && strings.TrimRight(file.lines[len(file.lines)-1], " ") != "---" {
		file.lines = append(file.lines, "---")
	}
	rendered, err := render(body.Object, 0, wide)
	if err != nil {
		return nil, err
	}
	file.lines = append(append(file.lines, rendered...), "")
	return file.bytes(), nil
}

// set writes a value at a path.
func (f *file) set(at place, path fieldpath.Path, value any) error {
	node, parent := at.node, (*yaml.Node)(nil)
	var key *yaml.Node
	for i, step := range path {
		if node.Kind == yaml.AliasNode {
			return fmt.Errorf("%s is an alias of another part of the document", path[:i])
		}
		k, v := next(node, step)
		if v == nil {
			return f.insert(at, parent, key, node, path[i:], value)
		}
		parent, key, node = node, k, v
	}
	return f.replace(at, parent, key, node, value)
}
