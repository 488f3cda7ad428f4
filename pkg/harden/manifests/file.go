package manifests

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

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
