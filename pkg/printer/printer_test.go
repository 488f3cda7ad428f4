package printer

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

var update = flag.Bool("update", false, "write the golden files")

// diagnosis is a small cluster in some trouble.
func diagnosis() *report.Diagnosis {
	percent := func(n int) *int { return &n }
	payments := report.Object{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "payments"}
	return &report.Diagnosis{
		TypeMeta: metav1.TypeMeta{APIVersion: "prod.kubectl.io/v1alpha1", Kind: "Diagnosis"},
		Time:     metav1.NewTime(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)),
		Origin:   report.Origin{Context: "prod-demo", Server: "https://127.0.0.1:6443", Version: "v1.37.2", Workloads: 9, Nodes: 6},
		Score:    report.Score{Percent: percent(43), Critical: 1, Warning: 2, Info: 0},
		Chapters: []report.ChapterScore{
			{Chapter: "resources", Title: "Resource management", Score: report.Score{Percent: percent(0), Warning: 2}},
			{Chapter: "security", Title: "Security", Score: report.Score{Percent: percent(100)}},
			{Chapter: "observability", Title: "Monitoring and observability", Score: report.Score{Percent: percent(50), Critical: 1}},
			{Chapter: "ecosystem", Title: "Looking ahead"},
		},
		Findings: []report.Finding{
			{Practice: "restart-loop", Chapter: "observability", Severity: report.Critical, Object: payments,
				Message: `container "app" restarted 7 times in 1 of 2 pods; last ended with exit code 3 (Error)`,
				Fix:     "kubectl logs --previous -n shop payments-5f-a -c app"},
			{Practice: "memory-limit-unset", Chapter: "resources", Severity: report.Warning, Object: payments,
				Path: "spec.template.spec.containers[0].resources.limits.memory", Message: `container "app" has no memory limit`},
			{Practice: "memory-limit-unset", Chapter: "resources", Severity: report.Warning,
				Object: report.Object{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "bare\x1b[31m"},
				Path:   "spec.containers[0].resources.limits.memory", Message: "container \"a\u202eb\" has\nno memory limit", File: "shop/bare.yaml", Line: 3},
			{Practice: "memory-limit-unset", Chapter: "resources", Severity: report.Warning, Platform: true,
				Object: report.Object{APIVersion: "apps/v1", Kind: "DaemonSet", Namespace: "kube-system", Name: "proxy"}, Message: `container "proxy" has no memory limit`},
		},
		NotChecked: []report.NotChecked{
			{Subject: "nodes.metrics.k8s.io", State: "absent", Reason: "the cluster does not serve it", Practices: []string{"node-utilisation-high"}},
			{Subject: "deployments.apps", State: "forbidden", Reason: "cannot list", Practices: []string{"a", "b"}, Partly: []string{"c", "d"}},
		},
		Practices: []report.PracticeResult{
			{ID: "restart-loop", Chapter: "observability", Severity: report.Critical, Checked: true, Judged: 9, Failed: 1},
			{ID: "memory-limit-unset", Chapter: "resources", Severity: report.Warning, Checked: true, Judged: 9, Failed: 2},
			{ID: "node-utilisation-high", Chapter: "observability", Severity: report.Critical},
		},
	}
}

func catalogue() *report.Catalogue {
	return &report.Catalogue{
		TypeMeta: metav1.TypeMeta{APIVersion: "prod.kubectl.io/v1alpha1", Kind: "Catalogue"},
		Items: []report.Practice{{
			ID: "restart-loop", Title: "Container in a restart loop", Chapter: "observability", Severity: report.Critical, LiveOnly: true,
			Reason: "A container that keeps crashing leaves its workload short of a replica, and the delay between the attempts grows to five minutes.",
			Judged: "Every pod's containers.", Fix: "read the previous log", Reads: []string{"pods"}, Sources: []string{"https://kubernetes.io/docs/"},
		}},
	}
}

func TestFormats(t *testing.T) {
	for name, print := range map[string]func(*bytes.Buffer) error{
		"overview.txt":        func(b *bytes.Buffer) error { return Options{}.Diagnosis(b, diagnosis()) },
		"overview_narrow.txt": func(b *bytes.Buffer) error { return Options{Width: 80}.Diagnosis(b, diagnosis()) },
		"overview_colour.txt": func(b *bytes.Buffer) error { return Options{Color: true}.Diagnosis(b, diagnosis()) },
		"wide.txt":            func(b *bytes.Buffer) error { return Options{Format: "wide"}.Diagnosis(b, diagnosis()) },
		"diagnosis.json":      func(b *bytes.Buffer) error { return Options{Format: "json"}.Diagnosis(b, diagnosis()) },
		"diagnosis.yaml":      func(b *bytes.Buffer) error { return Options{Format: "yaml"}.Diagnosis(b, diagnosis()) },
		"name.txt":            func(b *bytes.Buffer) error { return Options{Format: "name"}.Diagnosis(b, diagnosis()) },
		"nothing.txt": func(b *bytes.Buffer) error {
			hundred := 100
			return Options{}.Diagnosis(b, &report.Diagnosis{Score: report.Score{Percent: &hundred}, Origin: report.Origin{Context: "calm"}})
		},
		"list.txt":    func(b *bytes.Buffer) error { return Options{}.Catalogue(b, catalogue()) },
		"explain.txt": func(b *bytes.Buffer) error { return Options{}.Explanation(b, catalogue()) },
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := print(&got); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("differs from %s (go test -update writes it):\n%s", file, got.String())
			}
		})
	}
}

func TestNoLineOfTextEndsInSpacesOrIsWiderThanTheTerminal(t *testing.T) {
	var out bytes.Buffer
	if err := (Options{Width: 100}).Diagnosis(&out, diagnosis()); err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(out.String(), "Next:")
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%q ends in spaces", line)
		}
		if strings.HasPrefix(line, "critical") && len([]rune(line)) > 100 {
			t.Errorf("%q is wider than 100", line)
		}
	}
}

func TestColourIsOnlyWhereItIsAllowed(t *testing.T) {
	for _, format := range []string{"", "wide", "name"} {
		var out bytes.Buffer
		if err := (Options{Format: format}).Diagnosis(&out, diagnosis()); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Errorf("-o %q holds an escape sequence", format)
		}
	}
}
