package harden

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// shown is an Item as the report tells it, with what the API server said; t is
// nil before it was asked. accepted is what the Item comes on top of.
func (i *Item) shown(number int, t *trial, accepted drafts) report.HardenChange {
	c := report.HardenChange{
		Number: number, Practice: i.Practice.ID, Title: i.Practice.Title, Severity: i.Practice.Severity, Reason: i.Practice.Reason,
		Object: objectOf(i.Object), Does: i.Practice.Remedy.Does, Why: i.Proposal.Why, Risk: i.Proposal.Risk, Also: i.Also,
		State: report.Proposed, Writes: []report.HardenWrite{},
	}
	for _, f := range i.Findings {
		c.Findings = append(c.Findings, f.Message)
	}
	if t == nil {
		return c
	}
	c.Owner, c.Notes = t.owner.String(), t.notes
	if t.refused != "" {
		c.State, c.StateReason = report.Refused, t.refused
	}
	for _, d := range t.drafts {
		w := report.HardenWrite{Object: objectOf(d.change.Object), Create: d.creates()}
		from := d.before
		if earlier := accepted.of(d.change.Object); earlier != nil {
			from = earlier.after
		}
		if !d.creates() {
			for _, touch := range change.Diff(from, d.after) {
				w.Fields = append(w.Fields, field(touch))
			}
			c.Effect = effect(d.before, false, d.touches)
		} else if c.Effect == "" {
			c.Effect = effect(nil, true, nil)
		}
		w.Diff = unified(d.change.Object, from, d.after)
		if t.git {
			w.Patch = patchText(i, d.change.Object)
		}
		c.Writes = append(c.Writes, w)
	}
	return c
}

func objectOf(ref cluster.Ref) report.Object {
	return report.Object{APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
}

func field(t change.Touch) report.HardenField {
	f := report.HardenField{Path: change.Pathname(t.Path)}
	f.From, f.To = text(t.Before), text(t.After)
	return f
}

func text(value any) string {
	if value == nil {
		return ""
	}
	data, err := json.Marshal(masked(value))
	if err != nil {
		return ""
	}
	return string(data)
}

// patchText is the Item's change of an object as YAML for Git: what Kustomize
// takes as a patch. A null removes.
func patchText(i *Item, ref cluster.Ref) string {
	for _, c := range i.Proposal.Changes {
		if c.Object == ref {
			return change.Text(c)
		}
	}
	return ""
}

// unified is a unified diff of two states of an object as YAML; from is nil
// for a new one.
func unified(ref cluster.Ref, from, to *unstructured.Unstructured) string {
	was := []byte{}
	if from != nil {
		was = yamlOf(from)
	}
	name := ref.String()
	if ref.Namespace != "" {
		name = ref.Namespace + "/" + name
	}
	return string(diff.Diff(name, was, name, yamlOf(to)))
}

// yamlOf is an object as YAML without what the API server keeps for itself,
// and with what may be secret masked.
func yamlOf(obj *unstructured.Unstructured) []byte {
	shown := obj.DeepCopy()
	unstructured.RemoveNestedField(shown.Object, "status")
	for _, name := range []string{"managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(shown.Object, "metadata", name)
	}
	unstructured.RemoveNestedField(shown.Object, "metadata", "annotations", corev1.LastAppliedConfigAnnotation)
	if path := templatePath(shown); path != nil {
		unstructured.RemoveNestedField(shown.Object, append(slices.Clone(path), "metadata", "creationTimestamp")...)
	}
	if kind := shown.GetKind(); kind == "Secret" || kind == "ConfigMap" {
		for _, name := range []string{"data", "stringData", "binaryData"} {
			if values, ok := shown.Object[name].(map[string]any); ok {
				for key := range values {
					values[key] = mask
				}
			}
		}
	}
	text, err := yaml.Marshal(masked(shown.Object))
	if err != nil {
		return fmt.Appendf(nil, "# cannot be shown: %v\n", err)
	}
	return text
}

const mask = "***"

// masked is a value in which what may be secret is masked: the values of
// environment variables, and arguments that give a password or the like.
func masked(value any) any {
	switch value := value.(type) {
	case map[string]any:
		shown := make(map[string]any, len(value))
		for name, held := range value {
			if env, ok := held.([]any); ok && name == "env" {
				held = maskedEnv(env)
			}
			shown[name] = masked(held)
		}
		return shown
	case []any:
		shown := make([]any, len(value))
		for i, item := range value {
			shown[i] = masked(item)
		}
		return shown
	case string:
		return regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api-?key|credential)[a-z-]*[=:]\s*)\S+`).ReplaceAllString(value, "${1}"+mask)
	default:
		return value
	}
}

func maskedEnv(env []any) []any {
	shown := make([]any, len(env))
	for i, item := range env {
		fields, ok := item.(map[string]any)
		if !ok || fields["value"] == nil {
			shown[i] = item
			continue
		}
		copied := maps.Clone(fields)
		copied["value"] = mask
		shown[i] = copied
	}
	return shown
}
