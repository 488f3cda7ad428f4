package gitops

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/manifests"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
)

func write(t *testing.T, files Files) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// build is what kubectl kustomize makes of a directory: it is the same library.
func build(t *testing.T, dir string) string {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func remediable() []practice.Practice {
	return slices.DeleteFunc(catalogue.All(), func(p practice.Practice) bool { return p.Remedy == nil })
}

func diagnose(t *testing.T, files ...string) []string {
	t.Helper()
	s, errs := cluster.Manifests{Filenames: files, Namespace: "default", Time: time.Unix(1768478400, 0)}.Load(t.Context())
	for _, err := range errs {
		t.Fatal(err)
	}
	var said []string
	for _, f := range practice.Evaluate(s, catalogue.All(), practice.Scope{}).Findings {
		said = append(said, f.Practice+" "+f.Object.Kind+" "+f.Object.Namespace+"/"+f.Object.Name+": "+f.Message)
	}
	slices.Sort(said)
	return said
}

// TestThePatchesMendWhatTheManifestsDo builds the shop with the patches over
// it: the doctor finds in it what it finds in the mended files, and no more.
func TestThePatchesMendWhatTheManifestsDo(t *testing.T) {
	shop, err := filepath.Abs("../../../examples/shop")
	if err != nil {
		t.Fatal(err)
	}
	run := manifests.Run{Manifests: cluster.Manifests{Filenames: []string{shop}, Namespace: "default", Time: time.Unix(1768478400, 0)}, Practices: remediable()}
	result, err := run.Mend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := Of(result.Changes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	alone := build(t, write(t, files))
	if !strings.Contains(alone, "kind: PodDisruptionBudget") {
		t.Errorf("alone it builds to the new objects, and not to:\n%s", alone)
	}

	sources, err := filepath.Glob(filepath.Join(shop, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	overlay := strings.Replace(string(files[Kustomization]), "resources:\n", "resources:\n- base.yaml\n", 1)
	files[Kustomization] = []byte(overlay)
	var base []string
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		base = append(base, string(text))
	}
	files["base.yaml"] = []byte(strings.Join(base, "---\n"))
	built := filepath.Join(t.TempDir(), "built.yaml")
	if err := os.WriteFile(built, []byte(build(t, write(t, files))), 0o600); err != nil {
		t.Fatal(err)
	}
	mended := t.TempDir()
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range result.Files {
			if file.Path == source {
				text = file.After
			}
		}
		if err := os.WriteFile(filepath.Join(mended, filepath.Base(source)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, want := diagnose(t, built), diagnose(t, mended)
	if !slices.Equal(got, want) {
		t.Errorf("with the patches:\n%s\n\nin the mended files:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPatches(t *testing.T) {
	web := cluster.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	for name, test := range map[string]struct {
		made change.Change
		want string
	}{
		"a field of a container": {
			change.Change{Object: web, Edits: []change.Edit{change.Set("64Mi", "spec", "template", "spec", "containers", change.Item("name", "web"), "resources", "limits", "memory")}},
			"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      containers:\n      - name: web\n        resources:\n          limits:\n            memory: 64Mi\n",
		},
		"a field that goes": {
			change.Change{Object: web, Edits: []change.Edit{change.Remove("spec", "replicas")}},
			"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: null\n",
		},
		"an item that goes": {
			change.Change{Object: web, Edits: []change.Edit{change.Remove("spec", "template", "spec", "volumes", change.Item("name", "tmp"))}},
			"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      volumes:\n      - name: tmp\n        $patch: delete\n",
		},
		"an item of a custom kind's list": {
			change.Change{
				Object: cluster.Ref{APIVersion: "monitoring.coreos.com/v1", Kind: "PrometheusRule", Namespace: "m", Name: "r"},
				Edits:  []change.Edit{change.Set(map[string]any{"name": "g"}, "spec", "groups", change.Item("name", "g"))},
			},
			"- op: add\n  path: /spec/groups/-\n  value:\n    name: g\n",
		},
	} {
		got, err := patch(test.made)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}

func TestTheValuesOfMostChartsAreNamedByTheFieldsThatTheyLeadTo(t *testing.T) {
	container := func(path ...any) []any {
		return append([]any{"spec", "template", "spec", "containers", change.Item("name", "web")}, path...)
	}
	for want, path := range map[string][]any{
		"replicaCount":             {"spec", "replicas"},
		"resources":                container("resources", "limits", "memory"),
		"securityContext":          container("securityContext", "runAsNonRoot"),
		"podSecurityContext":       {"spec", "template", "spec", "securityContext", "runAsNonRoot"},
		"serviceAccount.automount": {"spec", "template", "spec", "automountServiceAccountToken"},
		"":                         container("lifecycle", "preStop"),
	} {
		if got := usualValue(change.Set(int64(1), path...).Path); got != want {
			t.Errorf("%v: %q, want %q", path, got, want)
		}
	}
}

// TestTheNameOfAReleaseIsNoPath holds that what anybody can write into Helm's
// annotation leads to no other directory, and no other line.
func TestTheNameOfAReleaseIsNoPath(t *testing.T) {
	cart := change.Change{
		Object: cluster.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"},
		Edits:  []change.Edit{change.Set(int64(3), "spec", "replicas")},
	}
	hostile := cart
	hostile.Object.Namespace, hostile.Object.Kind, hostile.Object.Name = "../../a", "/b/..", "../c\n"
	for _, name := range []string{"", "/../../../etc/cron.d/x", "..", "a/b", "a\nresources: [https://evil.test]", "\x1b[2J", "a b", "$(reboot)", "A"} {
		files, err := Of([]change.Change{cart, hostile}, func(cluster.Ref) string { return name })
		if err != nil {
			t.Fatal(err)
		}
		for path, text := range files {
			if !filepath.IsLocal(path) || filepath.Dir(path) != "." || strings.ContainsAny(path, "\n") || len(name) > 2 && strings.Contains(string(text), name) {
				t.Errorf("release %q: %s\n%s", name, path, text)
			}
		}
	}
}

func TestWhatHelmInstalledGetsAPostRenderer(t *testing.T) {
	web := cluster.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	files, err := Of([]change.Change{{Object: web, Edits: []change.Edit{change.Set(int64(2), "spec", "replicas")}}}, func(cluster.Ref) string { return "shop" })
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, files)
	chart := "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  replicas: 1\n"
	if err := os.WriteFile(filepath.Join(dir, "helm-shop", "rendered.yaml"), []byte(chart), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := build(t, filepath.Join(dir, "helm-shop")); !strings.Contains(got, "replicas: 2") {
		t.Errorf("the chart's Deployment should be patched:\n%s\nfiles: %s", got, files.Text())
	}
	if text := string(files["helm-shop/"+Kustomization]); !strings.Contains(text, "# Most charts have values for such fields, and this one may: replicaCount.\n") {
		t.Errorf("the usual value is not told:\n%s", text)
	}
}
