package change

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - {name: sidecar, image: b}
      - {name: web, image: a, resources: {limits: {cpu: "1"}}}
`

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

func ref() cluster.Ref {
	return cluster.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
}

func TestChange(t *testing.T) {
	limits := []any{"spec", "template", "spec", "containers", Item("name", "web"), "resources", "limits"}
	for name, test := range map[string]struct {
		edits []Edit
		after string // the object edited
		apply string // the apply configuration, without what names the object
	}{
		"an item is found by its key": {
			edits: []Edit{Set("64Mi", append(limits, "memory")...)},
			after: `{spec: {replicas: 1, template: {spec: {containers: [{name: sidecar, image: b}, {name: web, image: a, resources: {limits: {cpu: "1", memory: 64Mi}}}]}}}}`,
			apply: `{spec: {template: {spec: {containers: [{name: web, resources: {limits: {memory: 64Mi}}}]}}}}`,
		},
		"a list that is not there is made": {
			edits: []Edit{Set([]any{map[string]any{"maxSkew": int64(1)}}, "spec", "template", "spec", "topologySpreadConstraints")},
			after: `{spec: {replicas: 1, template: {spec: {topologySpreadConstraints: [{maxSkew: 1}], containers: [{name: sidecar, image: b}, {name: web, image: a, resources: {limits: {cpu: "1"}}}]}}}}`,
			apply: `{spec: {template: {spec: {topologySpreadConstraints: [{maxSkew: 1}]}}}}`,
		},
		"a removal is no part of an apply": {
			edits: []Edit{Remove("spec", "replicas"), Remove(append(limits, "cpu")...), Remove("spec", "absent", "too")},
			after: `{spec: {template: {spec: {containers: [{name: sidecar, image: b}, {name: web, image: a, resources: {limits: {}}}]}}}}`,
			apply: `{}`,
		},
		"an item is removed by its key": {
			edits: []Edit{Remove("spec", "template", "spec", "containers", Item("name", "sidecar")), Remove("spec", "template", "spec", "containers", Item("name", "gone"))},
			after: `{spec: {replicas: 1, template: {spec: {containers: [{name: web, image: a, resources: {limits: {cpu: "1"}}}]}}}}`,
			apply: `{}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := Change{Object: ref(), Edits: test.edits}
			after := object(t, web)
			if err := c.ApplyTo(after); err != nil {
				t.Fatal(err)
			}
			same(t, "edited", after, named(t, test.after))
			same(t, "apply configuration", c.ApplyConfiguration(), named(t, test.apply))
		})
	}
}

func TestAnEditOfAnItemThatIsNotThereFails(t *testing.T) {
	c := Change{Object: ref(), Edits: []Edit{Set("x", "spec", "template", "spec", "containers", Item("name", "gone"), "image")}}
	err := c.ApplyTo(object(t, web))
	if err == nil || err.Error() != `deployment.apps/web has no .spec.template.spec.containers[name="gone"]` {
		t.Errorf("got %v", err)
	}
}

// named is text with what names the object.
func named(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := object(t, text)
	Change{Object: ref()}.name(obj)
	return obj
}

func same(t *testing.T, what string, got, want *unstructured.Unstructured) {
	t.Helper()
	gotText, _ := yaml.Marshal(got.Object)
	wantText, _ := yaml.Marshal(want.Object)
	if string(gotText) != string(wantText) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, gotText, wantText)
	}
}
