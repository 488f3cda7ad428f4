package manifests

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Render is an object as a person would write it down.
func Render(object map[string]any) ([]byte, error) {
	lines, err := render(object, 0, false)
	return []byte(strings.Join(lines, "\n") + "\n"), err
}

// render is a value as the lines of a block, indented.
func render(value any, indent int, wide bool) ([]string, error) {
	node, err := nodeOf(value)
	if err != nil {
		return nil, err
	}
	style := yaml.CompactSequenceStyle
	if wide {
		style = yaml.WideSequenceStyle
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoderWithOptions(&b, &yaml.EncoderOptions{SeqIndent: style})
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = strings.Repeat(" ", indent) + line
		}
	}
	return lines, nil
}

// nodeOf is a value as a node, with the keys of maps in the order in which
// people write them.
func nodeOf(value any) (*yaml.Node, error) {
	switch value := value.(type) {
	case map[string]any:
		node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, name := range slices.SortedFunc(maps.Keys(value), byCustom) {
			key, err := nodeOf(name)
			if err != nil {
				return nil, err
			}
			held, err := nodeOf(value[name])
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, key, held)
		}
		return node, nil
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range value {
			held, err := nodeOf(item)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, held)
		}
		return node, nil
	default:
		node := &yaml.Node{}
		err := node.Encode(value)
		return node, err
	}
}

// byCustom orders keys as the API's documentation and people do; the others by
// the alphabet, after them.
func byCustom(a, b string) int {
	customary := []string{
		"apiVersion", "kind", "metadata", "alert", "name", "namespace", "labels", "annotations", "type", "spec",
		"replicas", "scaleTargetRef", "minReplicas", "maxReplicas", "maxUnavailable", "unhealthyPodEvictionPolicy", "podSelector", "policyTypes", "from", "namespaceSelector", "selector", "matchLabels",
		"maxSkew", "topologyKey", "whenUnsatisfiable", "labelSelector", "weight", "podAffinityTerm", "key", "operator", "values", "requests", "limits", "defaultRequest", "default", "cpu", "memory", "op", "path", "target", "group",
		"runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile", "expr", "for", "summary", "description", "resources", "patches", "mountPath",
	}
	rank := func(name string) int {
		if at := slices.Index(customary, name); at >= 0 {
			return at
		}
		return len(customary)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
}

// indentsSequences reports whether a document indents the items of a sequence
// within its key.
func indentsSequences(node *yaml.Node) bool {
	if node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			if value.Kind == yaml.SequenceNode && value.Style&yaml.FlowStyle == 0 && len(value.Content) > 0 {
				return value.Column > key.Column
			}
		}
	}
	return slices.ContainsFunc(node.Content, indentsSequences)
}

// RenderList is a list as a person would write it down.
func RenderList(items []any) ([]byte, error) {
	lines, err := render(items, 0, false)
	return []byte(strings.Join(lines, "\n") + "\n"), err
}
