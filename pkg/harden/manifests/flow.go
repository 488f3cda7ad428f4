package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// position is a place in the text: indexes of line and byte.
type position struct{ line, column int }

// closing finds the bracket that ends the flow collection that begins at a node.
func (f *file) closing(at place, node *yaml.Node) (position, error) {
	depth := 0
	for line := at.start + node.Line - 1; line < len(f.lines); line++ {
		text, column := f.lines[line], 0
		if line == at.start+node.Line-1 {
			column = node.Column - 1
		}
		for ; column < len(text); column++ {
			switch c := text[column]; c {
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return position{line, column}, nil
				}
			case '"', '\'':
				if skipped, ok := quoted(text, column); ok {
					column = skipped
				} else if column == 0 || strings.ContainsRune(" {[,:", rune(text[column-1])) {
					return position{}, fmt.Errorf("line %d: a quoted text goes over several lines", line+1)
				}
			case '#':
				if column == 0 || text[column-1] == ' ' {
					column = len(text)
				}
			}
		}
	}
	return position{}, fmt.Errorf("line %d: nothing closes what is opened there", at.line())
}

// quoted is the index of the quote that ends the text that one begins.
func quoted(text string, start int) (end int, ok bool) {
	quote := text[start]
	for i := start + 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == '"':
			i++
		case text[i] == quote:
			return i, true
		}
	}
	return 0, false
}

// addFlow adds a key with its value, or an item, before the closing bracket.
func (f *file) addFlow(at place, node *yaml.Node, value any) error {
	end, err := f.closing(at, node)
	if err != nil {
		return err
	}
	text, err := flow(value, f.isJSON())
	if err != nil {
		return err
	}
	if node.Kind == yaml.MappingNode {
		text = strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	}
	line := f.lines[end.line]
	before, after := line[:end.column], line[end.column:]
	if len(node.Content) > 0 {
		text = ", " + text
	}
	if strings.TrimSpace(before) == "" && end.line > 0 && len(node.Content) > 0 { // the bracket has a line of its own
		previous := end.line - 1
		f.lines[previous] = strings.TrimRight(f.lines[previous], " ") + ","
		f.lines = slices.Insert(f.lines, end.line, strings.Repeat(" ", indentOf(f.lines[previous]))+strings.TrimPrefix(text, ", "))
		return nil
	}
	trimmed := strings.TrimRight(before, " ")
	f.lines[end.line] = trimmed + text + before[len(trimmed):] + after
	return nil
}

// replaceFlow writes another value in the place of one within a flow collection.
func (f *file) replaceFlow(at place, node *yaml.Node, value any) error {
	start := position{at.start + node.Line - 1, node.Column - 1}
	end, err := f.flowEnd(at, node)
	if err != nil {
		return err
	}
	text, err := flow(value, f.isJSON())
	if err != nil {
		return err
	}
	f.splice(start, end, text)
	return nil
}

// removeFlow deletes an entry of a flow collection with its comma.
func (f *file) removeFlow(at place, parent, key, node *yaml.Node) error {
	first := node
	if key != nil {
		first = key
	}
	start := position{at.start + first.Line - 1, first.Column - 1}
	end, err := f.flowEnd(at, node)
	if err != nil {
		return err
	}
	rest := f.lines[end.line][end.column:]
	if trimmed := strings.TrimLeft(rest, " "); strings.HasPrefix(trimmed, ",") {
		end.column += len(rest) - len(strings.TrimLeft(trimmed[1:], " "))
	} else if before := strings.TrimRight(f.lines[start.line][:start.column], " "); strings.HasSuffix(before, ",") {
		start.column = len(before) - 1
	}
	f.splice(start, end, "")
	_ = parent
	return nil
}

// flowEnd is just behind a value within a flow collection.
func (f *file) flowEnd(at place, node *yaml.Node) (position, error) {
	line := at.start + node.Line - 1
	if node.Kind == yaml.ScalarNode {
		if end, ok := f.token(line, node); ok {
			return position{line, end}, nil
		}
		return position{}, fmt.Errorf("line %d: the value is written in a way that is not edited", line+1)
	}
	end, err := f.closing(at, node)
	end.column++
	return end, err
}

// splice puts text in the place of what stands between two positions.
func (f *file) splice(start, end position, text string) {
	joined := f.lines[start.line][:start.column] + text + f.lines[end.line][end.column:]
	f.lines = slices.Replace(f.lines, start.line, end.line+1, joined)
}

func isScalar(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

func isString(value any) bool {
	_, ok := value.(string)
	return ok
}

// flow is a value on one line: as YAML, or as JSON.
func flow(value any, asJSON bool) (string, error) {
	if asJSON {
		text, err := json.Marshal(value)
		return string(text), err
	}
	node, err := nodeOf(value)
	if err != nil {
		return "", err
	}
	setFlow(node)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	if err := encoder.Encode(node); err != nil {
		return "", err
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if strings.Contains(text, "\n") { // the encoder breaks long lines
		text = strings.Join(strings.Fields(text), " ")
	}
	return text, nil
}

func setFlow(node *yaml.Node) {
	if node.Kind != yaml.ScalarNode {
		node.Style = yaml.FlowStyle
	}
	for _, child := range node.Content {
		setFlow(child)
	}
}
