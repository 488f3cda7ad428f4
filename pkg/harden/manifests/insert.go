package manifests

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
)

// insert writes what is missing from a node on. An empty node ({}, [], null) is
// replaced by it.
func (f *file) insert(at place, parent, key, node *yaml.Node, rest fieldpath.Path, value any) error {
	missing := &unstructured.Unstructured{Object: map[string]any{}}
	path := rest
	if rest[0].Key != nil { // an item of a list: it stands in a field, to be built
		path = append(fieldpath.Path{{FieldName: new("list")}}, rest...)
	}
	if err := (change.Change{Edits: []change.Edit{{Path: path, Value: value}}}).ApplyTo(missing); err != nil {
		return err
	}
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null", node.Kind != yaml.ScalarNode && len(node.Content) == 0:
		if parent == nil || key == nil {
			return fmt.Errorf("%s is empty", rest)
		}
		if rest[0].Key != nil {
			return f.replace(at, parent, key, node, missing.Object["list"])
		}
		return f.replace(at, parent, key, node, missing.Object)
	case node.Kind == yaml.SequenceNode && rest[0].Key != nil:
		return f.appendItem(at, node, missing.Object["list"])
	case node.Kind == yaml.MappingNode && rest[0].FieldName != nil:
		return f.addKey(at, node, *rest[0].FieldName, missing.Object[*rest[0].FieldName])
	}
	return fmt.Errorf("%s has no place there", rest)
}

// addKey adds a key to a mapping: at its end, or where people write it.
func (f *file) addKey(at place, node *yaml.Node, name string, value any) error {
	if node.Style&yaml.FlowStyle != 0 {
		return f.addFlow(at, node, map[string]any{name: value})
	}
	indent := node.Content[0].Column - 1
	rendered, err := render(map[string]any{name: value}, indent, at.wide)
	if err != nil {
		return err
	}
	for _, before := range precedes(name) {
		key, _ := entry(node, before)
		if key == nil {
			continue
		}
		line := at.start + key.Line - 1
		if strings.TrimSpace(f.lines[line][:key.Column-1]) != "" {
			break // it is the first key of a list's item
		}
		for line > 0 && strings.HasPrefix(strings.TrimSpace(f.lines[line-1]), "#") && indentOf(f.lines[line-1]) == indent {
			line-- // the comment belongs to the key
		}
		f.lines = slices.Insert(f.lines, line, rendered...)
		return nil
	}
	last := node.Content[len(node.Content)-2]
	end := f.end(at.start+last.Line-1, indent)
	f.lines = slices.Insert(f.lines, end+1, rendered...)
	return nil
}

// precedes are the keys before which people write a key.
func precedes(name string) []string {
	switch name {
	case "replicas", "minReplicas":
		return []string{"selector", "template", "maxReplicas"}
	case "securityContext", "topologySpreadConstraints", "automountServiceAccountToken", "terminationGracePeriodSeconds":
		return []string{"initContainers", "containers"}
	case "requests":
		return []string{"limits"}
	case "annotations", "labels":
		return []string{"name"}[:0]
	}
	return nil
}

// appendItem adds an item to a sequence.
func (f *file) appendItem(at place, node *yaml.Node, list any) error {
	if node.Style&yaml.FlowStyle != 0 {
		items, _ := list.([]any)
		return f.addFlow(at, node, items[0])
	}
	indent := node.Column - 1
	rendered, err := render(list, indent, at.wide)
	if err != nil {
		return err
	}
	last := node.Content[len(node.Content)-1]
	end := f.end(at.start+last.Line-1, indent+1)
	f.lines = slices.Insert(f.lines, end+1, rendered...)
	return nil
}
