package cluster

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// load writes files into a directory and reads it.
func load(t *testing.T, files fstest.MapFS, m Manifests) (*Snapshot, []error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	m.Namespace, m.Time = "default", time.Now()
	return m.Load(t.Context())
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

const webDeployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: app, image: a}]}}}
`

func TestABrokenDocumentCostsItselfAloneAndNamesItsLine(t *testing.T) {
	for name, test := range map[string]struct {
		broken string
		want   string
	}{
		"bad indentation":  {"apiVersion: v1\nkind: Pod\n  metadata: x\n", "all.yaml:10: mapping values are not allowed"},
		"a wrong type":     {"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: none}\n", "all.yaml:8: Pod p: "},
		"no kind":          {"apiVersion: v1\nmetadata: {name: p}\n", "all.yaml:8: "},
		"a scalar":         {"hello\n", "all.yaml:8: "},
		"a cut-off string": {"apiVersion: v1\nkind: \"Pod\n", "all.yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "# first\n" + webDeployment + "---\n\n" + test.broken + "---\n" + strings.Replace(webDeployment, "web", "api", 1)
			s, errs := load(t, fstest.MapFS{"all.yaml": file(text)}, Manifests{Filenames: []string{"all.yaml"}})
			if len(s.Deployments) != 2 {
				t.Errorf("read %d deployments, want the 2 sound ones", len(s.Deployments))
			}
			if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), test.want) || strings.Contains(errs[0].Error(), "\n") {
				t.Errorf("errors are %q, want one line starting with %q", errs, test.want)
			}
		})
	}
}

func TestAnObjectInDoubtIsReadAndTold(t *testing.T) {
	for name, test := range map[string]struct{ object, want string }{
		"a selector that does not parse": {
			"apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b, namespace: shop}\nspec: {selector: {matchExpressions: [{key: app, operator: Sounds}]}}\n",
			`all.yaml:1: PodDisruptionBudget b: spec.selector does not parse, and selects nothing: "Sounds" is not a valid label selector operator`},
		"one in a list": {
			"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: In}]}}]}]}\n",
			`all.yaml:1: NetworkPolicy p: spec.ingress[0].from[0].podSelector does not parse`},
		"a version of the future": {
			strings.Replace(webDeployment, "apps/v1", "apps/v2", 1), "all.yaml:1: Deployment web: apps/v2 is newer than what this program knows; it is judged as v1"},
	} {
		t.Run(name, func(t *testing.T) {
			s, errs := load(t, fstest.MapFS{"all.yaml": file(test.object + "---\n" + strings.Replace(webDeployment, "web", "api", 1))}, Manifests{Filenames: []string{"all.yaml"}})
			if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), test.want) || strings.Contains(errs[0].Error(), "\n") {
				t.Errorf("errors are %q, want one line starting with %q", errs, test.want)
			}
			if s.Origin.Manifests != 2 || len(s.Budgets)+len(s.NetworkPolicies)+len(s.Deployments) != 2 {
				t.Errorf("read %d objects of %d", len(s.Budgets)+len(s.NetworkPolicies)+len(s.Deployments), s.Origin.Manifests)
			}
		})
	}
	t.Run("old versions, and the terms of nodes, are in no doubt", func(t *testing.T) {
		old := "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec: {}\n---\napiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: b}\nspec: {}\n---\n" +
			"apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: v}\nspec: {nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Gt, values: [\"1\"]}]}]}}}\n"
		if _, errs := load(t, fstest.MapFS{"all.yaml": file(old)}, Manifests{Filenames: []string{"all.yaml"}}); len(errs) > 0 {
			t.Errorf("errors are %q", errs)
		}
	})
}

func TestObjectsKnowTheirFileAndLine(t *testing.T) {
	s, errs := load(t, fstest.MapFS{"a.yaml": file("# c\n---\n" + webDeployment + "---\n# about api\n\n" + strings.Replace(webDeployment, "web", "api", 1))},
		Manifests{Filenames: []string{"a.yaml"}})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for name, line := range map[string]int{"web": 3, "api": 10} {
		ref := Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "default", Name: name}
		if at, ok := s.Position(ref); !ok || at != (Position{File: "a.yaml", Line: line}) {
			t.Errorf("%s stands at %+v (known: %v), want a.yaml:%d", name, at, ok, line)
		}
	}
}

func TestWhatIsReadFromManifests(t *testing.T) {
	files := fstest.MapFS{
		"dir/web.yaml":            file(webDeployment),
		"dir/list.json":           file(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"}}]}`),
		"dir/notes.txt":           file("not a manifest"),
		"dir/deep/old.yml":        file("apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: i}\n"),
		"dir/deep/secret.yaml":    file("apiVersion: v1\nkind: Secret\nmetadata: {name: password}\nstringData: {a: b}\n"),
		"dir/deep/crd.yaml":       file("apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n"),
		"base/kustomization.yaml": file("resources: [web.yaml]\nnamePrefix: my-\n"),
		"base/web.yaml":           file(webDeployment),
	}
	for name, test := range map[string]struct {
		manifests                        Manifests
		deployments, services, ingresses int
		objects                          int
	}{
		"a directory":                  {Manifests{Filenames: []string{"dir"}}, 1, 1, 0, 2},
		"a tree":                       {Manifests{Filenames: []string{"dir"}, Recursive: true}, 1, 1, 1, 5},
		"a kustomization":              {Manifests{Kustomize: "base"}, 1, 0, 0, 1},
		"a directory to be kustomized": {Manifests{Filenames: []string{"base"}}, 1, 0, 0, 1},
		"standard input":               {Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(webDeployment)}, 1, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, errs := load(t, files, test.manifests)
			for _, err := range errs {
				t.Error(err)
			}
			if len(s.Deployments) != test.deployments || len(s.Services) != test.services || len(s.Ingresses) != test.ingresses || s.Origin.Manifests != test.objects {
				t.Errorf("read %d deployments, %d services, %d ingresses of %d objects; want %+v",
					len(s.Deployments), len(s.Services), len(s.Ingresses), s.Origin.Manifests, test)
			}
			if len(s.TLSSecrets) > 0 {
				t.Error("kept a Secret that holds no certificate")
			}
		})
	}
}

func TestManifestsThatAreNotThere(t *testing.T) {
	for name, test := range map[string]struct {
		manifests Manifests
		want      string
	}{
		"no such file":       {Manifests{Filenames: []string{"nowhere.yaml"}}, "nowhere.yaml"},
		"an empty directory": {Manifests{Filenames: []string{"empty"}}, "empty: no .yaml, .yml or .json file there"},
		"no kustomization":   {Manifests{Kustomize: "empty"}, "empty: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := load(t, fstest.MapFS{"empty/readme": file("")}, test.manifests)
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), test.want) {
				t.Errorf("errors are %v, want one with %q", errs, test.want)
			}
		})
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("a: b\n---\n# c\n\nd: e")
	f.Add("--- \n--- x\n---\n")
	f.Fuzz(func(t *testing.T, text string) {
		documents, err := split(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(text, "\n")
		for _, doc := range documents {
			if doc.line < 1 || doc.line > len(lines) {
				t.Fatalf("line %d of %d", doc.line, len(lines))
			}
			if first, _, _ := strings.Cut(string(doc.data), "\n"); first != lines[doc.line-1] {
				t.Fatalf("line %d is %q, the document starts with %q", doc.line, lines[doc.line-1], first)
			}
		}
	})
}

func TestManifestsKeepTheVersionInWhichTheyAreWritten(t *testing.T) {
	s := fromText(t, "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: front}\n---\napiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: unknown}\n")
	want := []Ref{{"extensions/v1beta1", "Ingress", "shop", "front"}, {"policy/v1beta1", "PodSecurityPolicy", "", "unknown"}}
	if !slices.Equal(s.Written, want) {
		t.Errorf("written: %v", s.Written)
	}
	if at, ok := s.Position(want[1]); !ok || at.Line != 5 {
		t.Errorf("the second stands at %v", at)
	}
}

func TestSecretsAreReadByTheirType(t *testing.T) {
	s := fromText(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: tls}\ntype: kubernetes.io/tls\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: password}\nstringData: {password: hunter2}\n---\n"+
		"apiVersion: v1\nkind: Secret\nmetadata: {name: release}\ntype: helm.sh/release.v1\n")
	if len(s.TLSSecrets) != 1 || len(s.Secrets) != 1 || s.Secrets[0].Name != "password" {
		t.Errorf("TLS secrets %v, others %v", s.TLSSecrets, s.Secrets)
	}
}

// endless is a file without an end, and without a line.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.read += len(p)
	return len(p), nil
}

func TestAFileWithoutAnEndFillsNoMemory(t *testing.T) {
	file := &endless{}
	if _, err := split(file); err == nil || file.read > 2*maxDocument {
		t.Errorf("%v, after %d bytes", err, file.read)
	}
}
