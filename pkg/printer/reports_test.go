package printer

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// printed is a diagnosis in a format.
func printed(t *testing.T, format string, d *report.Diagnosis) string {
	t.Helper()
	o := Options{Format: format, Practices: catalogue().Items, Version: "v1.2.3", Directory: "/repo"}
	var b bytes.Buffer
	if err := o.Validate(Formats()); err != nil {
		t.Fatal(err)
	}
	if err := o.Diagnosis(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReportsAreAsTheyWere(t *testing.T) {
	for format, name := range map[string]string{
		"markdown": "report.md", "html": "report.html", "sarif": "report.sarif", "junit": "report.xml", "csv": "report.csv", "prometheus": "report.prom",
	} {
		t.Run(format, func(t *testing.T) {
			got, file := printed(t, format, diagnosis()), filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("differs from %s (go test -update writes it):\n%s", file, got)
			}
		})
	}
}

// hostile is text that means something to each of the formats.
func hostile() []string {
	return []string{
		"\x1b[31mred\x07", "a\u202eb\u2066c", `</script><script>alert(1)</script>`, `"'><img src=x onerror=alert(1)>`, "line\nbreak\r\n| cell |",
		"=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "＝1", "`code` **bold** [link](https://evil.test)", "@everyone #1 https://evil.test", "{{.}} {0}",
		"]]>", "\x00\x01\xff", "שלום", `\`, "a,b;c", "``` fence", "javascript:alert(1)", "<!--", "*/", "%0d%0a", "../../etc/passwd",
		"\u009b31m\x7f", "a\u200bb\U000e0001c", "\xff\xfe",
	}
}

// hostileDiagnosis has such text wherever a cluster's text may stand.
func hostileDiagnosis(text string) *report.Diagnosis {
	d := diagnosis()
	finding := report.Finding{
		Practice: "restart-loop", Chapter: "observability", Severity: report.Critical, Path: text, Message: text, Fix: text,
		Object: report.Object{APIVersion: "v1", Kind: "Pod", Namespace: text, Name: text},
	}
	inFile := finding
	inFile.File, inFile.Line = text, 3
	platform := finding
	platform.Platform = true
	d.Findings = []report.Finding{finding, inFile, platform}
	d.Ignored = []report.IgnoredFinding{{Finding: finding, Reason: text, By: text, Until: "2026-12-31"}}
	d.Changes = []report.Change{{Object: finding.Object, What: text, By: text, Time: d.Time}}
	d.Events = []report.EventGroup{{Object: finding.Object, Reason: text, Message: text, Count: 3, Last: d.Time}}
	d.Origin = report.Origin{Context: text, Server: text, Version: text, Namespace: text, Selector: text}
	d.NotChecked = append(d.NotChecked, report.NotChecked{Subject: text, State: "failed", Reason: text, Practices: []string{"node-utilisation-high"}})
	return d
}

// eachHostile prints every hostile text in a format.
func eachHostile(t *testing.T, format string, check func(t *testing.T, text, out string)) {
	t.Helper()
	for _, text := range hostile() {
		t.Run(strings.Map(printableOnly, text), func(t *testing.T) {
			check(t, text, printed(t, format, hostileDiagnosis(text)))
		})
	}
}

func printableOnly(r rune) rune {
	if r < ' ' || r == '/' || r > '~' {
		return '.'
	}
	return r
}

func TestNoReportHoldsCharactersThatHideOrSteer(t *testing.T) {
	for _, format := range []string{"markdown", "html", "sarif", "junit", "csv", "prometheus"} {
		eachHostile(t, format, func(t *testing.T, _, out string) {
			if i := strings.IndexFunc(out, func(r rune) bool {
				return r < ' ' && r != '\n' && r != '\r' || r == '\u202e' || r == '\u2066' || r == 0x7f
			}); i >= 0 {
				t.Errorf("%s: %q", format, out[max(0, i-40):min(len(out), i+40)])
			}
		})
	}
}

func TestCSVIsReadBackAndNoCellIsAFormula(t *testing.T) {
	eachHostile(t, "csv", func(t *testing.T, text, out string) {
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != 4 {
			t.Errorf("%d rows, want the header and 3", len(rows))
		}
		if message := strings.TrimPrefix(rows[1][8], "'"); message != escape(text) {
			t.Errorf("message %q, want %q", message, escape(text))
		}
		for _, cell := range slices.Concat(rows...) {
			if regexp.MustCompile(`^[=+\-@|＝＋－＠\s]`).MatchString(cell) {
				t.Errorf("a spreadsheet takes %q for a formula", cell)
			}
		}
		if strings.Count(out, "\r\n") != strings.Count(out, "\n") {
			t.Errorf("lines end otherwise than RFC 4180 has it")
		}
	})
}

func TestJUnitCountsWhatItHolds(t *testing.T) {
	eachHostile(t, "junit", func(t *testing.T, text, out string) {
		var suites junitSuites
		if err := xml.Unmarshal([]byte(out), &suites); err != nil {
			t.Fatal(err)
		}
		if suites.Tests != 3 || suites.Failures != 1 || suites.Skipped != 2 || len(suites.Suites) != 2 {
			t.Errorf("counts are %+v", suites)
		}
		if got := suites.Suites[1].Cases[0].Failure; got == nil || got.Message != escape(text) {
			t.Errorf("the failure is %+v, want %q", got, escape(text))
		}
	})
}

func TestJUnitSaysOfEachPracticeHowItFared(t *testing.T) {
	d := diagnosis()
	d.Findings = nil
	d.Practices = []report.PracticeResult{
		{ID: "fine", Chapter: "security", Checked: true, Judged: 3},
		{ID: "hidden", Chapter: "security", Checked: true, Judged: 3, Failed: 2},
		{ID: "a", Chapter: "security"},
		{ID: "c", Chapter: "security", Checked: true},
	}
	out := printed(t, "junit", d)
	for _, want := range []string{
		`<testcase classname="doctor.security" name="fine" time="0"></testcase>`,
		`<skipped message="not shown: 2 of 3 objects have milder findings">`,
		`<skipped message="not checked: deployments.apps: forbidden: cannot list">`,
		`<system-out>checked in part: deployments.apps: forbidden: cannot list</system-out>`,
		`tests="4" failures="0" errors="0" skipped="2"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %s:\n%s", want, out)
		}
	}
}

func TestPrometheusReadsTheMetrics(t *testing.T) {
	eachHostile(t, "prometheus", func(t *testing.T, text, out string) {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		for _, label := range families["kubectl_prod_doctor_info"].GetMetric()[0].GetLabel() {
			if label.GetValue() != escape(text) {
				t.Errorf("label %s is %q, want %q", label.GetName(), label.GetValue(), escape(text))
			}
		}
	})
}

func TestWhatWasNotCheckedHasNoCountOfFindings(t *testing.T) {
	out := printed(t, "prometheus", diagnosis())
	if !strings.Contains(out, `kubectl_prod_doctor_not_checked{practice="node-utilisation-high",chapter="observability"} 1`) {
		t.Errorf("lacks what was not checked:\n%s", out)
	}
	if strings.Contains(out, `kubectl_prod_doctor_findings{practice="node-utilisation-high"`) {
		t.Errorf("counts findings of a practice that was not checked:\n%s", out)
	}
}

func TestMarkdownMakesNothingOfWhatAClusterSays(t *testing.T) {
	eachHostile(t, "markdown", func(t *testing.T, _, out string) {
		ours := regexp.MustCompile(`\]\(https://github\.com/kubectl-prod/\S+\)`).ReplaceAllString(out, "")
		bare := bareMarkdown(ours)
		for _, live := range []string{"<script", "<img", "<!--", "@everyone", "#1", "evil.test", "**bold", "](", "\n="} {
			if strings.Contains(bare, live) {
				t.Errorf("%q is live in:\n%s", live, out)
			}
		}
		columns := 0
		for row := range strings.Lines(bare) {
			if !strings.HasPrefix(row, "|") {
				columns = 0
				continue
			}
			if columns == 0 {
				columns = strings.Count(row, "|")
			}
			if strings.Count(row, "|") != columns {
				t.Errorf("a cell breaks its row: %s", row)
			}
		}
	})
}

// bareMarkdown is Markdown without its code spans and escaped characters, as
// CommonMark finds them: a span ends at a run of as many backticks.
func bareMarkdown(text string) string {
	var bare strings.Builder
	for text != "" {
		fence := text[:len(text)-len(strings.TrimLeft(text, "`"))]
		span := regexp.MustCompile("^(?s)" + fence + "[^`](?:.*?[^`])?" + fence + "(?:[^`]|$)").FindString(text)
		switch {
		case fence != "" && span != "":
			text = text[len(fence)+strings.Index(text[len(fence):], fence)+len(fence):]
		case text[0] == '\\' && len(text) > 1:
			text = text[2:]
		default:
			bare.WriteByte(text[0])
			text = text[1:]
		}
	}
	return bare.String()
}

func TestMarkdownFitsAComment(t *testing.T) {
	d := diagnosis()
	for range 2000 {
		d.Findings = append(d.Findings, d.Findings[0])
	}
	out := printed(t, "markdown", d)
	if len(out) > 60_000 || !regexp.MustCompile(`… and \d+ more, which a comment has no room for`).MatchString(out) {
		t.Errorf("%d bytes", len(out))
	}
	if strings.Count(out, "<details>") != strings.Count(out, "</details>") {
		t.Errorf("a section is left open")
	}
}

func TestAReportThatCannotBeWrittenIsAnError(t *testing.T) {
	for _, format := range []string{"table", "wide", "name", "markdown", "html", "sarif", "junit", "csv", "prometheus", "json"} {
		if err := (Options{Format: format}).Diagnosis(full{}, diagnosis()); err == nil {
			t.Errorf("-o %s takes a full disk for success", format)
		}
	}
}

// full is a disk with no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
