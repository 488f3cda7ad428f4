// Package manifests mends manifests as a person would edit them: the lines that
// a change is about are written, and every other stays as it is, comments,
// order, quotes and blank lines included.
package manifests

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	sigsyaml "sigs.k8s.io/yaml"

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

// file is the text of manifests, by lines without their ends.
type file struct {
	lines []string
	crlf  bool
}

func read(text []byte) *file {
	s := string(text)
	f := &file{crlf: strings.Contains(s, "\r\n") && strings.Count(s, "\n") == strings.Count(s, "\r\n")}
	if f.crlf {
		s = strings.ReplaceAll(s, "\r\n", "\n")
	}
	f.lines = strings.Split(s, "\n")
	return f
}

func (f *file) bytes() []byte {
	end := "\n"
	if f.crlf {
		end = "\r\n"
	}
	return []byte(strings.Join(f.lines, end))
}

func (f *file) isJSON() bool {
	return strings.HasPrefix(strings.TrimSpace(strings.Join(f.lines, "\n")), "{")
}

// document is one YAML document: its node, and the index of its first line.
type document struct {
	start int
	root  *yaml.Node
}

// documents parses the documents one by one; those that do not parse are left
// out, as whoever reads the file has told of them.
func (f *file) documents() []document {
	var all []document
	start := 0
	take := func(end int) {
		var node yaml.Node
		if yaml.Unmarshal([]byte(strings.Join(f.lines[start:end], "\n")), &node) == nil && len(node.Content) > 0 {
			all = append(all, document{start, node.Content[0]})
		}
	}
	for i, line := range f.lines {
		if strings.TrimRight(line, " \t\r") == "---" || strings.HasPrefix(line, "--- ") {
			take(i)
			start = i + 1
		}
	}
	take(len(f.lines))
	return all
}

// place is where an object stands in a file.
type place struct {
	start  int // index of its document's first line
	node   *yaml.Node
	object *unstructured.Unstructured
	wide   bool // sequences are indented within their key
}

func (p place) line() int { return p.start + p.node.Line }

// find finds an object, in a document of its own or in a List.
func (f *file) find(ref cluster.Ref, namespace string) (place, error) {
	for _, doc := range f.documents() {
		for _, node := range objectsOf(doc.root) {
			text, err := yaml.Marshal(node)
			if err != nil {
				continue
			}
			object := &unstructured.Unstructured{}
			if sigsyaml.Unmarshal(text, &object.Object) == nil && names(ref, object, namespace) {
				return place{doc.start, node, object, indentsSequences(node)}, nil
			}
		}
	}
	return place{}, fmt.Errorf("%s is not in the file", ref)
}

func objectsOf(root *yaml.Node) []*yaml.Node {
	if kind := field(root, "kind"); kind != nil && strings.HasSuffix(kind.Value, "List") {
		if items := field(root, "items"); items != nil {
			return items.Content
		}
	}
	return []*yaml.Node{root}
}

func names(ref cluster.Ref, obj *unstructured.Unstructured, namespace string) bool {
	group := func(apiVersion string) string {
		if group, _, grouped := strings.Cut(apiVersion, "/"); grouped {
			return group
		}
		return ""
	}
	at := obj.GetNamespace()
	if at == "" && ref.Namespace != "" {
		at = namespace
	}
	return obj.GetKind() == ref.Kind && obj.GetName() == ref.Name && at == ref.Namespace && group(obj.GetAPIVersion()) == group(ref.APIVersion)
}

// field is the value of a mapping's key; nil where it has none.
func field(node *yaml.Node, name string) *yaml.Node {
	if _, value := entry(node, name); value != nil {
		return value
	}
	return nil
}

func entry(node *yaml.Node, name string) (key, value *yaml.Node) {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}

// next is the node that a step of a path leads to, and its key in a mapping.
func next(node *yaml.Node, step fieldpath.PathElement) (key, value *yaml.Node) {
	if step.FieldName != nil {
		return entry(node, *step.FieldName)
	}
	if step.Key == nil || node.Kind != yaml.SequenceNode {
		return nil, nil
	}
	for _, item := range node.Content {
		all := true
		for _, k := range *step.Key {
			held := field(item, k.Name)
			all = all && held != nil && held.Value == fmt.Sprint(k.Value.Unstructured())
		}
		if all {
			return nil, item
		}
	}
	return nil, nil
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

// end is the index of the last line of what begins at a line and is indented
// by at least indent: comments and blank lines after it are not its own.
func (f *file) end(from, indent int) int {
	last := from
	for i := from + 1; i < len(f.lines); i++ {
		line := strings.TrimSpace(f.lines[i])
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case indentOf(f.lines[i]) < indent || line == "---" || strings.HasPrefix(f.lines[i], "--- "):
			return last
		}
		last = i
	}
	return last
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

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
