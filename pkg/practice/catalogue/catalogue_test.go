package catalogue

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// testTime is "now" in all testdata.
func testTime() time.Time { return time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC) }

func TestEveryPracticeIsDeclaredInFull(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
	seen := map[string]bool{}
	for _, p := range All() {
		t.Run(p.ID, func(t *testing.T) {
			if !kebab.MatchString(p.ID) {
				t.Errorf("the ID %q is not kebab-case", p.ID)
			}
			if seen[p.ID] {
				t.Errorf("the ID %q is declared twice", p.ID)
			}
			seen[p.ID] = true
			for field, value := range map[string]string{
				"Title": p.Title, "Reason": p.Reason, "Judged": p.Judged, "Fix": p.Fix, "Chapter": string(p.Chapter),
			} {
				if strings.TrimSpace(value) == "" {
					t.Errorf("%s is empty", field)
				}
			}
			if strings.HasSuffix(p.Title, ".") || strings.HasSuffix(p.Fix, ".") {
				t.Errorf("Title and Fix end without a full stop")
			}
			if p.Severity.Rank() >= len(report.Severities()) {
				t.Errorf("the severity %q does not exist", p.Severity)
			}
			if len(p.Sources) == 0 {
				t.Errorf("no source is named")
			}
			if (p.Check == nil) == (p.CheckBy == nil) || (p.CheckBy == nil) != (len(p.Thresholds) == 0) || len(p.Needs)+len(p.Judges)+len(p.Uses) == 0 {
				t.Errorf("Check and what it needs must be declared")
			}
		})
	}
}

// TestVerdicts holds every practice against its cases: each file below
// testdata/<id>/pass has no finding of it, each below testdata/<id>/fail has
// one, and testdata/<id>/findings.txt holds what they say (-update writes it).
//
// Where a case needs objects that only a live cluster has (nodes, pods with a
// status), the file holds them, and it is judged as live.
func TestVerdicts(t *testing.T) {
	for _, p := range All() {
		t.Run(p.ID, func(t *testing.T) {
			dir := filepath.Join("..", string(p.Chapter), "testdata", p.ID)
			for _, file := range cases(t, dir, "pass") {
				for _, line := range judge(t, p, file) {
					t.Errorf("%s should pass, but: %s", file, line)
				}
			}
			var said []string
			for _, file := range cases(t, dir, "fail") {
				lines := judge(t, p, file)
				if len(lines) == 0 {
					t.Errorf("%s should have a finding", file)
				}
				said = append(said, "# "+filepath.Base(file))
				said = append(said, lines...)
			}
			golden(t, filepath.Join(dir, "findings.txt"), strings.Join(said, "\n")+"\n")
		})
	}
}

// cases are the files of one verdict; every practice has some of both.
func cases(t *testing.T, dir, verdict string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, verdict, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Errorf("%s/%s holds no case", dir, verdict)
	}
	return files
}

// judge is what a practice finds in one file.
func judge(t *testing.T, p practice.Practice, file string) []string {
	t.Helper()
	s, errs := cluster.Manifests{Filenames: []string{file}, Namespace: "default", Time: testTime(), AsLive: true}.Load(t.Context())
	for _, err := range errs {
		t.Error(err)
	}
	d := practice.Evaluate(s, []practice.Practice{p}, practice.Scope{})
	if !d.Practices[0].Checked {
		t.Errorf("%s: not checked: %v", file, d.NotChecked)
	}
	if d.Practices[0].Judged == 0 && !strings.Contains(filepath.Base(file), "exempt") {
		t.Errorf("%s: nothing was judged (name the file …exempt… when that is the point)", file)
	}
	var lines []string
	for _, f := range d.Findings {
		lines = append(lines, fmt.Sprintf("%s %s/%s %s: %s", f.Severity, strings.ToLower(f.Object.Kind), f.Object.Name, f.Path, f.Message))
	}
	sort.Strings(lines)
	return lines
}

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s differs (go test -update writes it):\n--- want\n%s--- got\n%s", file, want, got)
	}
}
