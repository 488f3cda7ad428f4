package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
)

const repository = "../../.."

// once is what is generated, made once for all tests.
var once = sync.OnceValues(func() (Files, error) { return Generate(repository, Time()) })

func generate(t *testing.T) Files {
	t.Helper()
	files, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTheDocsAreCurrent(t *testing.T) {
	stale, err := generate(t).stale(repository)
	if err != nil {
		t.Fatal(err)
	}
	if len(stale) > 0 {
		slices.Sort(stale)
		t.Errorf("run `make docs` and commit: these do not follow from the code any more: %s", strings.Join(stale, ", "))
	}
}

func TestThePagesAreTheSameAtAnyTimeAndPlace(t *testing.T) {
	files := generate(t)
	home := filepath.Join(t.TempDir(), "someones-home")
	t.Setenv("HOME", home)
	t.Setenv("COLUMNS", "40")
	t.Setenv("SOURCE_DATE_EPOCH", "1")
	absolute, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := Generate(absolute, Time())
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range elsewhere {
		if string(files[path]) != string(content) {
			t.Errorf("%s differs from one place to the next", path)
		}
		for _, private := range []string{home, absolute + "/"} {
			if strings.Contains(string(content), private) {
				t.Errorf("%s names %s", path, private)
			}
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	files := generate(t)
	for path, content := range files {
		if !strings.HasSuffix(path, ".md") {
			continue
		}
		for _, found := range regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`).FindAllStringSubmatch(string(content), -1) {
			target := filepath.ToSlash(filepath.Join(filepath.Dir(path), found[1]))
			if _, err := os.Stat(filepath.Join(repository, target)); err != nil && files[target] == nil {
				t.Errorf("%s links to %s, which is not there", path, found[1])
			}
		}
	}
}

func TestEveryPracticeHasAPageWithAProvenExample(t *testing.T) {
	files := generate(t)
	for _, p := range catalogue.All() {
		page := string(files["docs/practices/"+p.ID+".md"])
		for _, want := range []string{p.Title[:1], "## How it is judged", "## How to mend it", "## Example", "## Sources", p.Sources[0], practice.IgnoreAnnotation + p.ID} {
			if !strings.Contains(page, want) {
				t.Errorf("the page of %s lacks %q", p.ID, want)
			}
		}
		if regexp.MustCompile("What doctor says of it:\n\n```\n\n?```").MatchString(page) {
			t.Errorf("the page of %s tells no finding on its example", p.ID)
		}
	}
}

func TestTheGuideNamesEveryPracticeAndNoOther(t *testing.T) {
	guide := string(generate(t)["docs/guide.md"])
	known := map[string]bool{}
	for _, p := range catalogue.All() {
		known[p.ID] = true
		if !strings.Contains(guide, "(practices/"+p.ID+".md)") {
			t.Errorf("the guide does not lead to %s", p.ID)
		}
	}
	for _, found := range regexp.MustCompile(`\(practices/([a-z0-9-]+)\.md\)`).FindAllStringSubmatch(guide, -1) {
		if !known[found[1]] {
			t.Errorf("the guide links to %s, which is no practice", found[1])
		}
	}
	for _, found := range regexp.MustCompile("`([^`]+)` \\(planned\\)").FindAllStringSubmatch(guide, -1) {
		if known[found[1]] {
			t.Errorf("the guide has %s as planned, and it exists", found[1])
		}
		if !regexp.MustCompile(`^([a-z0-9]+(-[a-z0-9]+)+|kubectl prod [a-z-]+)$`).MatchString(found[1]) {
			t.Errorf("%q is neither a practice nor a verb", found[1])
		}
	}
}

func TestEveryLineOfTheGuideIsServed(t *testing.T) {
	guide := string(generate(t)["docs/guide.md"])
	for _, p := range catalogue.All() {
		if !strings.Contains(guide, "\n## "+p.Chapter.Title()+"\n") {
			t.Errorf("the guide lacks the chapter %s", p.Chapter.Title())
		}
	}
	for _, line := range regexp.MustCompile(`(?m)^- \*\*[^*]+\*\*`).FindAllStringIndex(guide, -1) {
		entry, _, _ := strings.Cut(guide[line[0]+1:], "\n- ")
		entry, _, _ = strings.Cut(entry, "\n\n")
		if !strings.Contains(entry, "(practices/") && !strings.Contains(entry, "(commands/") && !strings.Contains(entry, "planned") {
			t.Errorf("nothing serves %q", guide[line[0]:line[1]])
		}
	}
}

// TestTheGuidesTextIsWhole holds that no line of the guide gets lost: these are
// words of each of its sections and list entries.
func TestTheGuidesTextIsWhole(t *testing.T) {
	guide := strings.ToLower(string(generate(t)["docs/guide.md"]))
	for _, word := range []string{
		"requests and limits", "starvation", "scheduling decisions", "memory leaks", "horizontally",
		"network policies", "pod security standards", "prometheus", "fluent bit", "elasticsearch", "jaeger", "zipkin",
		"80 %", "restart loops", "85 %", "certificates that expire", "api server that gets slow", "over zones", "anti-affinity", "gracefully",
		"etcd", "restored", "velero", "databases", "restoration of applications", "namespaces", "quotas", "running as root", "failure", "staging",
		"argo cd", "flux", "deployments are automated", "rolling back", "audit trail", "security patches", "rotated", "unused", "deprecation",
		"istio", "linkerd", "knative", "openfaas", "kubeflow", "k3s", "microk8s",
	} {
		if !strings.Contains(guide, word) {
			t.Errorf("the guide has lost %q", word)
		}
	}
}

func TestWriteReplacesAndRemoves(t *testing.T) {
	root := t.TempDir()
	before := Files{"docs/practices/old.md": []byte("old"), "docs/practices/kept.md": []byte("old"), "docs/guide.md": []byte("old")}
	after := Files{"docs/practices/kept.md": []byte("new"), "docs/guide.md": []byte("old"), "docs/commands/x.md": []byte("new")}
	for _, files := range []Files{before, after} {
		if err := files.Write(root); err != nil {
			t.Fatal(err)
		}
		if stale, err := files.stale(root); err != nil || len(stale) > 0 {
			t.Errorf("stale after writing: %v (%v)", stale, err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "docs", "practices", "old.md")); !os.IsNotExist(err) {
		t.Errorf("old.md is still there (%v)", err)
	}
}
