// Package gitops writes changes down for Git: as a kustomization with a patch a
// changed object and a file a new one, and for what Helm installed as a
// post-renderer.
package gitops

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/runtime/schema"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/manifests"
)

// Files are the contents of a directory, by path.
type Files map[string][]byte

// Kustomization is the file that a kustomize build begins with.
const Kustomization = "kustomization.yaml"

// Release is the Helm release that an object is part of; "" for none. Which of
// a chart's values leads to a field is certain only from the chart and the
// release's values, and the cluster keeps these in a Secret, which is not read:
// the changes are written as a post-renderer's patches, which every chart takes,
// and the values under which most charts have such fields are named as a hint.
type Release func(cluster.Ref) string

// Of are the files for changes, of which no two are of one object: a
// kustomization that builds, its patches and its new objects; and a directory
// helm-RELEASE for each Helm release among the objects.
func Of(changes []change.Change, release Release) (Files, error) {
	byRelease := map[string][]change.Change{}
	for _, c := range changes {
		name := ""
		if release != nil && c.Create == nil {
			if told := release(c.Object); releaseName().MatchString(told) {
				name = told
			}
		}
		byRelease[name] = append(byRelease[name], c)
	}
	files := Files{}
	for name, changes := range byRelease {
		some, err := kustomization(changes, name)
		if err != nil {
			return nil, err
		}
		for file, text := range some {
			if name != "" {
				file = path.Join("helm-"+name, file)
			}
			files[file] = text
		}
	}
	return files, nil
}

// releaseName is what Helm lets a release be called: a DNS name (Helm's
// chart/common/util.ValidateReleaseName). Anybody may write anything else into the
// annotation that tells it, and it becomes a path, a comment and a command.
func releaseName() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
}

// Text are all files on one stream, each behind a comment with its name.
func (f Files) Text() []byte {
	var all []byte
	for i, name := range slices.Sorted(maps.Keys(f)) {
		if i > 0 {
			all = append(all, "---\n"...)
		}
		all = append(append(all, "# "+name+"\n"...), f[name]...)
	}
	return all
}

// kustomization are the files of one kustomization.
func kustomization(changes []change.Change, release string) (Files, error) {
	files := Files{}
	var resources, patches []any
	for _, c := range changes {
		name := fileName(c.Object)
		if c.Create != nil {
			text, err := manifests.Render(c.Body().Object)
			if err != nil {
				return nil, err
			}
			files[name], resources = text, append(resources, name)
			continue
		}
		text, err := patch(c)
		if err != nil {
			return nil, err
		}
		name = "patch-" + name
		files[name] = text
		patches = append(patches, map[string]any{"path": name, "target": target(c.Object, changes)})
	}
	head := "# The patches are for objects of yours: add the manifests, or the directory, that\n# hold them to resources, or this directory's files to your kustomization.\n"
	if release != "" {
		head = "# Patches for Helm release " + release + ": helm upgrade " + release + " CHART --post-renderer ./post-render.sh\n" + hint(changes)
		resources = append([]any{rendered}, resources...)
		files["post-render.sh"] = []byte(postRenderer)
	}
	body := map[string]any{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
	if len(resources) > 0 {
		body["resources"] = resources
	}
	if len(patches) > 0 {
		body["patches"] = patches
	}
	text, err := manifests.Render(body)
	if err != nil {
		return nil, err
	}
	files[Kustomization] = append([]byte(head), text...)
	return files, nil
}

// hint names the values under which a chart made by `helm create`, as most are,
// has the fields of some changes.
func hint(changes []change.Change) string {
	var usual []string
	for _, c := range changes {
		for _, edit := range c.Edits {
			if value := usualValue(edit.Path); value != "" && !slices.Contains(usual, value) {
				usual = append(usual, value)
			}
		}
	}
	if len(usual) == 0 {
		return ""
	}
	slices.Sort(usual)
	return "# Most charts have values for such fields, and this one may: " + strings.Join(usual, ", ") +
		".\n# helm show values CHART tells; a value that does the same is better than a patch.\n"
}

// usualValue is the value of a `helm create` chart that leads to a field.
func usualValue(path fieldpath.Path) string {
	inContainer := false
	for _, step := range path {
		if step.Key != nil {
			inContainer = true
			continue
		}
		if step.FieldName == nil {
			continue
		}
		switch *step.FieldName {
		case "replicas":
			return "replicaCount"
		case "securityContext":
			if inContainer {
				return "securityContext"
			}
			return "podSecurityContext"
		case "automountServiceAccountToken":
			return "serviceAccount.automount"
		case "resources", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "volumes", "volumeMounts":
			return *step.FieldName
		}
	}
	return ""
}

// rendered is what Helm hands to the post-renderer, as a file.
const rendered = "rendered.yaml"

const postRenderer = `#!/bin/sh
# Helm's --post-renderer: takes the rendered chart, gives it back patched.
set -eu
cd "$(dirname "$0")"
cat > ` + rendered + `
kubectl kustomize .
`

// fileName names the file of an object: kind-name.yaml, behind its namespace.
// Manifests may have any text there, and none leads to another directory.
func fileName(ref cluster.Ref) string {
	parts := []string{strings.ToLower(ref.Kind), ref.Name}
	if ref.Namespace != "" {
		parts = append([]string{ref.Namespace}, parts...)
	}
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '-'
	}, strings.Join(parts, "-")) + ".yaml"
}

// target selects the object of a patch; by its namespace only where that tells
// it from another, since manifests often name none.
func target(ref cluster.Ref, changes []change.Change) map[string]any {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		gv = schema.GroupVersion{Version: ref.APIVersion}
	}
	selector := map[string]any{"kind": ref.Kind, "name": ref.Name}
	if gv.Group != "" {
		selector["group"] = gv.Group
	}
	if slices.ContainsFunc(changes, func(c change.Change) bool {
		return c.Object.Kind == ref.Kind && c.Object.Name == ref.Name && c.Object.Namespace != ref.Namespace
	}) {
		selector["namespace"] = ref.Namespace
	}
	return selector
}

// patch is a change as a strategic merge patch; of kinds whose lists kustomize
// cannot merge, as a JSON patch.
func patch(c change.Change) ([]byte, error) {
	gvk := schema.FromAPIVersionAndKind(c.Object.APIVersion, c.Object.Kind)
	if !clientscheme.Scheme.Recognizes(gvk) {
		return jsonPatch(c)
	}
	body := map[string]any{}
	for _, edit := range c.Edits {
		body, _ = merged(body, edit.Path, edit.Value).(map[string]any)
	}
	body["apiVersion"], body["kind"] = c.Object.APIVersion, c.Object.Kind
	metadata, _ := body["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
	}
	metadata["name"] = c.Object.Name
	body["metadata"] = metadata
	return manifests.Render(body)
}

// merged is a patch with one more field: nil removes it, and of a list the item
// with those keys.
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
func merged(node any, path fieldpath.Path, value any) any {
	if len(path) == 0 {
		return value
	}
	step := path[0]
	if step.FieldName != nil {
		fields, _ := node.(map[string]any)
		if fields == nil {
			fields = map[string]any{}
		}
		fields[*step.FieldName] = merged(fields[*step.FieldName], path[1:], value)
		return fields
	}
	items, _ := node.([]any)
	at := slices.IndexFunc(items, func(item any) bool {
		fields, _ := item.(map[string]any)
		for _, k := range *step.Key {
			if fmt.Sprint(fields[k.Name]) != fmt.Sprint(k.Value.Unstructured()) {
				return false
			}
		}
		return true
	})
	if at < 0 {
		keys := map[string]any{}
		for _, k := range *step.Key {
			keys[k.Name] = k.Value.Unstructured()
		}
		items, at = append(items, keys), len(items)
	}
	if fields, ok := items[at].(map[string]any); ok && len(path) == 1 && value == nil {
		fields["$patch"] = "delete"
		return items
	}
	items[at] = merged(items[at], path[1:], value)
	return items
}

// jsonPatch adds and replaces fields, and adds items at the end of their lists.
func jsonPatch(c change.Change) ([]byte, error) {
	var operations []any
	for _, edit := range c.Edits {
		var pointer strings.Builder
		for i, step := range edit.Path {
			switch {
			case step.FieldName != nil:
				pointer.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(*step.FieldName))
			case i == len(edit.Path)-1 && edit.Value != nil:
				pointer.WriteString("/-")
			default:
				return nil, fmt.Errorf("%s: a patch for Git cannot tell the items of %s apart: edit it by hand", c.Object, edit.Path[:i])
			}
		}
		operation := map[string]any{"op": "add", "path": pointer.String(), "value": edit.Value}
		if edit.Value == nil {
			operation = map[string]any{"op": "remove", "path": pointer.String()}
		}
		operations = append(operations, operation)
	}
	return manifests.RenderList(operations)
}
