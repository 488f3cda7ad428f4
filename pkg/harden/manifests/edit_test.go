package manifests

import (
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

func ref() cluster.Ref {
	return cluster.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
}

func in(path ...any) []any {
	return append([]any{"spec", "template", "spec", "containers", change.Item("name", "web")}, path...)
}

// TestEdits holds every edit against the text that a person would have written:
// lines that it is not about stay as they are.
func TestEdits(t *testing.T) {
	const head = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n"
	for name, test := range map[string]struct {
		before, after string // behind the head
		edits         []change.Edit
	}{
		"a value is replaced in its line, with its comment and its quotes": {
			before: "spec:\n  replicas: 1   # for now\n  paused: \"no\" # said ops\n",
			after:  "spec:\n  replicas: 2   # for now\n  paused: \"yes\" # said ops\n",
			edits:  []change.Edit{change.Set(int64(2), "spec", "replicas"), change.Set("yes", "spec", "paused")},
		},
		"a missing key is added at the end of its map, before blank lines and the comments of what follows": {
			before: "spec:\n  template:\n    spec:\n      containers:\n      - name: web # the one\n        image: a\n\n      # the other\n      - image: b\n        name: proxy\n",
			after:  "spec:\n  template:\n    spec:\n      containers:\n      - name: web # the one\n        image: a\n        resources:\n          requests:\n            cpu: 100m\n\n      # the other\n      - image: b\n        name: proxy\n",
			edits:  []change.Edit{change.Set("100m", in("resources", "requests", "cpu")...)},
		},
		"what belongs to the pod comes before its containers, with their comments": {
			before: "spec:\n  template:\n    spec:\n      volumes: []\n      # what runs\n      containers:\n        - name: web\n          image: a\n",
			after:  "spec:\n  template:\n    spec:\n      volumes: []\n      topologySpreadConstraints:\n        - maxSkew: 1\n          topologyKey: zone\n      # what runs\n      containers:\n        - name: web\n          image: a\n",
			edits:  []change.Edit{change.Set([]any{map[string]any{"topologyKey": "zone", "maxSkew": int64(1)}}, "spec", "template", "spec", "topologySpreadConstraints")},
		},
		"an empty map is filled": {
			before: "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        resources: {} # none\n        image: a\n",
			after:  "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        resources:\n          limits:\n            memory: 64Mi\n        image: a\n",
			edits:  []change.Edit{change.Set("64Mi", in("resources", "limits", "memory")...)},
		},
		"a key without a value is filled": {
			before: "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        resources:\n        image: a\n",
			after:  "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        resources:\n          limits:\n            memory: 64Mi\n        image: a\n",
			edits:  []change.Edit{change.Set("64Mi", in("resources", "limits", "memory")...)},
		},
		"a map on one line stays on one line": {
			before: "spec:\n  template:\n    spec:\n      containers:\n      - {name: web, image: \"a:{1}\", resources: {limits: {cpu: \"1\"}}} # short\n",
			after:  "spec:\n  template:\n    spec:\n      containers:\n      - {name: web, image: \"a:{1}\", resources: {limits: {cpu: \"1\", memory: 64Mi}}, securityContext: {capabilities: {drop: [ALL]}}} # short\n",
			edits:  []change.Edit{change.Set("64Mi", in("resources", "limits", "memory")...), change.Set([]any{"ALL"}, in("securityContext", "capabilities", "drop")...)},
		},
		"a list is replaced as a whole": {
			before: "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        securityContext:\n          capabilities:\n            drop:\n            - NET_RAW\n            # and\n            - CHOWN\n            add: []\n",
			after:  "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        securityContext:\n          capabilities:\n            drop:\n            - ALL\n            add: []\n",
			edits:  []change.Edit{change.Set([]any{"ALL"}, in("securityContext", "capabilities", "drop")...)},
		},
		"an item is added to a list": {
			before: "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        volumeMounts:\n        - name: data\n          mountPath: /data\n        image: a\n",
			after:  "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        volumeMounts:\n        - name: data\n          mountPath: /data\n        - name: tmp\n          mountPath: /tmp\n        image: a\n",
			edits:  []change.Edit{change.Set(map[string]any{"name": "tmp", "mountPath": "/tmp"}, in("volumeMounts", change.Item("mountPath", "/tmp"))...)},
		},
		"a key is removed, and what is above it stays": {
			before: "spec:\n  # how many\n  replicas: 3\n  selector:\n    matchLabels: {app: web}\n",
			after:  "spec:\n  # how many\n  selector:\n    matchLabels: {app: web}\n",
			edits:  []change.Edit{change.Remove("spec", "replicas")},
		},
		"an item is removed from a list": {
			before: "spec:\n  template:\n    spec:\n      topologySpreadConstraints:\n      - maxSkew: 1\n        topologyKey: old\n      - maxSkew: 1\n        topologyKey: new\n      containers: []\n",
			after:  "spec:\n  template:\n    spec:\n      topologySpreadConstraints:\n      - maxSkew: 1\n        topologyKey: new\n      containers: []\n",
			edits:  []change.Edit{change.Remove("spec", "template", "spec", "topologySpreadConstraints", change.Item("topologyKey", "old"))},
		},
		"a map is not left empty": {
			before: "spec:\n  template:\n    spec:\n      nodeSelector:\n        beta: a\n      containers: []\n",
			after:  "spec:\n  template:\n    spec:\n      nodeSelector:\n        zone: a\n      containers: []\n",
			edits:  []change.Edit{change.Remove("spec", "template", "spec", "nodeSelector", "beta"), change.Set("a", "spec", "template", "spec", "nodeSelector", "zone")},
		},
		"keys on one line are removed with their comma": {
			before: "spec: {replicas: 3, paused: true, strategy: {type: Recreate}}\n",
			after:  "spec: {paused: true}\n",
			edits:  []change.Edit{change.Remove("spec", "replicas"), change.Remove("spec", "strategy")},
		},
		"a text in a block stays whole": {
			before: "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        args:\n        - |\n          run\n          # not a comment\n            deeper\n        image: a\n      volumes: []\n",
			after:  "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        args:\n        - |\n          run\n          # not a comment\n            deeper\n        image: a\n        tty: true\n      volumes: []\n",
			edits:  []change.Edit{change.Set(true, in("tty")...)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			made := change.Change{Object: ref(), Edits: test.edits}
			for way, wrap := range map[string]func(string) string{
				"alone": func(s string) string { return s },
				"among other documents": func(s string) string {
					return "# top\nkind: Service\napiVersion: v1\nmetadata: {name: web}\n---\n" + s + "---\n\n# the end\n"
				},
				"with CRLF":              func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
				"without a last newline": func(s string) string { return strings.TrimSuffix(s, "\n") },
				"without a namespace":    func(s string) string { return strings.Replace(s, "  namespace: shop\n", "", 1) },
				"in a List": func(s string) string {
					return "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n  ") + "\n"
				},
			} {
				got, err := Edit([]byte(wrap(head+test.before)), made, "shop")
				if want := strings.ReplaceAll(wrap(head+test.after), "\n  \n", "\n\n"); err != nil || strings.ReplaceAll(string(got), "\n  \n", "\n\n") != want {
					t.Errorf("%s: %v\n--- got\n%s\n--- want\n%s", way, err, got, want)
				}
			}
		})
	}
}

func TestWhatCannotBeEditedIsLeftAlone(t *testing.T) {
	for name, text := range map[string]string{
		"an alias":            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  a: &a {replicas: 1}\n  template: *a\n",
		"another object":      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: shop}\n",
		"another namespace's": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: other}\n",
	} {
		if got, err := Edit([]byte(text), change.Change{Object: ref(), Edits: []change.Edit{change.Set(int64(2), "spec", "template", "replicas")}}, "shop"); err == nil {
			t.Errorf("%s: edited to\n%s", name, got)
		}
	}
}

func TestJSONStaysJSON(t *testing.T) {
	before := "{\n  \"apiVersion\": \"apps/v1\",\n  \"kind\": \"Deployment\",\n  \"metadata\": {\"name\": \"web\"},\n  \"spec\": {\n    \"replicas\": 1\n  }\n}\n"
	after := "{\n  \"apiVersion\": \"apps/v1\",\n  \"kind\": \"Deployment\",\n  \"metadata\": {\"name\": \"web\"},\n  \"spec\": {\n    \"replicas\": 2,\n    \"paused\":true\n  }\n}\n"
	got, err := Edit([]byte(before), change.Change{Object: ref(), Edits: []change.Edit{change.Set(int64(2), "spec", "replicas"), change.Set(true, "spec", "paused")}}, "shop")
	if err != nil || string(got) != after {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestANewObjectIsADocumentOfItsOwn(t *testing.T) {
	made := change.Change{
		Object: cluster.Ref{APIVersion: "policy/v1", Kind: "PodDisruptionBudget", Namespace: "shop", Name: "web"},
		Create: map[string]any{"spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}}, "maxUnavailable": int64(1)}},
	}
	for before, after := range map[string]string{
		"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n\n": "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  maxUnavailable: 1\n  selector:\n    matchLabels:\n      app: web\n",
		"apiVersion: apps/v1\r\nkind: Deployment\r\nmetadata:\r\n  name: web\r\n---":           "apiVersion: apps/v1\r\nkind: Deployment\r\nmetadata:\r\n  name: web\r\n---\r\napiVersion: policy/v1\r\nkind: PodDisruptionBudget\r\nmetadata:\r\n  name: web\r\nspec:\r\n  maxUnavailable: 1\r\n  selector:\r\n    matchLabels:\r\n      app: web\r\n",
	} {
		got, err := Append([]byte(before), made, ref(), "shop")
		if err != nil || string(got) != after {
			t.Errorf("%v\n--- got\n%s\n--- want\n%s", err, got, after)
		}
	}
}
