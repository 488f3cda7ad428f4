package manifests

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// replace writes another value in the place of a node: where both have the same
// shape, what differs alone.
func (f *file) replace(at place, parent, key, node *yaml.Node, value any) error {
	switch value := value.(type) {
	case map[string]any:
		if node.Kind == yaml.MappingNode && len(value) > 0 && len(node.Content) == 2*len(value) && sameKeys(node, value) {
			for i := 0; i+1 < len(node.Content); i += 2 {
				if err := f.replace(at, node, node.Content[i], node.Content[i+1], value[node.Content[i].Value]); err != nil {
					return err
				}
			}
			return nil
		}
	case []any:
		if node.Kind == yaml.SequenceNode && len(value) > 0 && len(node.Content) == len(value) && sameShape(node, value) {
			for i, item := range node.Content {
				if err := f.replace(at, node, nil, item, value[i]); err != nil {
					return err
				}
			}
			return nil
		}
	case string:
		if node.Kind == yaml.ScalarNode && node.Tag == "!!str" && node.Value == value {
			return nil
		}
	default:
		if node.Kind == yaml.ScalarNode && node.Value == fmt.Sprint(value) {
			return nil
		}
	}
	line := at.start + node.Line - 1
	if node.Kind == yaml.AliasNode {
		return fmt.Errorf("the value is an alias of another part of the document")
	}
	if end, ok := f.token(line, node); ok && isScalar(value) && node.Kind == yaml.ScalarNode {
		text, err := flow(value, f.isJSON() || node.Style == yaml.DoubleQuotedStyle && isString(value))
		if err != nil {
			return err
		}
		f.lines[line] = f.lines[line][:node.Column-1] + text + f.lines[line][end:]
		return nil
	}
	if parent != nil && parent.Style&yaml.FlowStyle != 0 {
		return f.replaceFlow(at, node, value)
	}
	if key == nil {
		return fmt.Errorf("an item of a list is to be replaced as a whole")
	}
	start, indent := at.start+key.Line-1, key.Column-1
	rendered, err := render(map[string]any{key.Value: value}, indent, at.wide)
	if err != nil {
		return err
	}
	rendered[0] = f.lines[start][:indent] + rendered[0][indent:] // it may be the first key of a list's item
	end := f.valueEnd(start, indent, node)
	f.lines = slices.Replace(f.lines, start, end+1, rendered...)
	return nil
}

func sameKeys(node *yaml.Node, value map[string]any) bool {
	for i := 0; i+1 < len(node.Content); i += 2 {
		held, ok := value[node.Content[i].Value]
		if !ok || !sameShape(node.Content[i+1], held) {
			return false
		}
	}
	return true
}

// sameShape reports whether a value could be written into a node scalar by
// scalar.
func sameShape(node *yaml.Node, value any) bool {
	switch value := value.(type) {
	case map[string]any:
		return node.Kind == yaml.MappingNode && len(node.Content) == 2*len(value) && sameKeys(node, value)
	case []any:
		if node.Kind != yaml.SequenceNode || len(node.Content) != len(value) {
			return false
		}
		for i, item := range node.Content {
			if !sameShape(item, value[i]) {
				return false
			}
		}
		return true
	default:
		return node.Kind == yaml.ScalarNode
	}
}

// valueEnd is the last line of a key's value: a sequence may stand at the
// indentation of its key.
func (f *file) valueEnd(start, indent int, value *yaml.Node) int {
	if value.Kind == yaml.SequenceNode && value.Style&yaml.FlowStyle == 0 && value.Column-1 == indent {
		last := start
		for i := start + 1; i < len(f.lines); i++ {
			line := strings.TrimSpace(f.lines[i])
			switch {
			case line == "" || strings.HasPrefix(line, "#"):
				continue
			case indentOf(f.lines[i]) < indent, indentOf(f.lines[i]) == indent && !strings.HasPrefix(line, "-"), line == "---":
				return last
			}
			last = i
		}
		return last
	}
	return f.end(start, indent+1)
}

// remove deletes a key, or an item of a list, with its lines.
func (f *file) remove(at place, path fieldpath.Path) error {
	node := at.node
	var parent, key *yaml.Node
	for i, step := range path {
		if node.Kind == yaml.AliasNode {
			return fmt.Errorf("%s is an alias of another part of the document", path[:i])
		}
		k, v := next(node, step)
		if v == nil {
			return nil // it is not there
		}
		parent, key, node = node, k, v
	}
	if parent.Style&yaml.FlowStyle != 0 {
		return f.removeFlow(at, parent, key, node)
	}
	if len(parent.Content) <= 2 && key != nil || len(parent.Content) == 1 && key == nil {
		if len(path) < 2 {
			return fmt.Errorf("nothing would be left of the object")
		}
		return f.remove(at, path[:len(path)-1]) // its holder would be empty
	}
	if key == nil {
		start := at.start + node.Line - 1
		f.lines = slices.Delete(f.lines, start, f.end(start, parent.Column)+1)
		return nil
	}
	start, indent := at.start+key.Line-1, key.Column-1
	end := f.valueEnd(start, indent, node)
	if prefix := f.lines[start][:indent]; strings.TrimSpace(prefix) != "" { // the first key of a list's item
		if end+1 >= len(f.lines) || indentOf(f.lines[end+1]) != indent {
			return fmt.Errorf("the first key of a list's item cannot be removed here")
		}
		f.lines[end+1] = prefix + f.lines[end+1][indent:]
	}
	f.lines = slices.Delete(f.lines, start, end+1)
	return nil
}

// token is where a scalar that stands on one line ends in it.
func (f *file) token(line int, node *yaml.Node) (end int, ok bool) {
	if node.Kind != yaml.ScalarNode || node.Column < 1 || node.Column-1 > len(f.lines[line]) {
		return 0, false
	}
	rest := f.lines[line][node.Column-1:]
	switch node.Style {
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		quote := rest[0]
		for i := 1; i < len(rest); i++ {
			switch {
			case rest[i] == '\\' && quote == '"', rest[i] == '\'' && quote == '\'' && i+1 < len(rest) && rest[i+1] == '\'':
				i++
			case rest[i] == quote:
				return node.Column + i, true
			}
		}
		return 0, false
	case 0:
		return node.Column - 1 + len(node.Value), node.Value != "" && strings.HasPrefix(rest, node.Value)
	}
	return 0, false
}
