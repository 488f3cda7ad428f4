//go:build e2e

package e2e

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// outputs has every format written by the built binary and read by what reads
// such files; each must tell of as many findings as the JSON does.
func outputs(t *testing.T, c *testCluster) {
	want, _ := c.doctor(t, nil, "-n", "shop")
	if len(want.Findings) < 50 {
		t.Fatalf("only %d findings", len(want.Findings))
	}
	counts := map[string]func(t *testing.T, text string) int{
		"yaml": func(t *testing.T, text string) int {
			d := &report.Diagnosis{}
			if err := yaml.UnmarshalStrict([]byte(text), d); err != nil {
				t.Fatal(err)
			}
			return len(d.Findings)
		},
		"wide":                                lines,
		"csv":                                 csvRows,
		"sarif":                               sarifResults,
		"junit":                               junitFailures,
		"prometheus":                          prometheusFindings,
		"markdown":                            func(_ *testing.T, text string) int { return strings.Count(text, "\n| ") },
		"html":                                func(_ *testing.T, text string) int { return strings.Count(text, "<li data-severity=") },
		"jsonpath={range .findings[*]}x{end}": func(_ *testing.T, text string) int { return len(text) },
		"go-template={{range .findings}}x{{end}}": func(_ *testing.T, text string) int { return len(text) },
	}
	for format, count := range counts {
		t.Run(format, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "report")
			r := c.kubectl(t, nil, "prod", "doctor", "-n", "shop", "-o", format, "--output-file", file, "--no-headers")
			if r.code != 1 || r.stdout != "" || r.stderr != "" {
				t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			told := len(want.Findings)
			switch format {
			case "junit": // a case an object, however many of its fields are wrong
				told = objectsFound(want)
			case "markdown": // a row a practice in full, and the rest in sum
				told = 0
			}
			if got := count(t, string(text)); got < told || told > 0 && got > told || got == 0 {
				t.Errorf("tells of %d findings, want %d", got, told)
			}
			if again := c.kubectl(t, nil, "prod", "doctor", "-n", "shop", "-o", format, "--no-headers"); format == "csv" && again.stdout != string(text) {
				t.Error("standard output and --output-file differ")
			}
		})
	}
	t.Run("name", func(t *testing.T) {
		r := c.kubectl(t, nil, "prod", "doctor", "-n", "shop", "-o", "name")
		for line := range strings.Lines(r.stdout) {
			if line = strings.TrimSpace(line); line != "namespace/shop" {
				c.must(t, "get", "-n", "shop", line) // as kubectl takes it
			}
		}
		if strings.Count(r.stdout, "\n") < 10 {
			t.Errorf("names only\n%s", r.stdout)
		}
	})
}

// objectsFound counts the objects of each practice.
func objectsFound(d *report.Diagnosis) int {
	found := map[string]bool{}
	for _, f := range d.Findings {
		found[f.Practice+" "+f.Object.Namespace+" "+f.Object.String()] = true
	}
	return len(found)
}

// lines counts the rows of the table of findings, which ends with an empty line.
func lines(_ *testing.T, text string) int {
	n := 0
	for line := range strings.Lines(text) {
		first, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.Contains([]string{"critical", "warning", "info"}, first) {
			n++
		}
	}
	return n
}

func csvRows(t *testing.T, text string) int {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

func sarifResults(t *testing.T, text string) int {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "pkg", "printer", "testdata", "sarif", "sarif-schema-2.1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(instance); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Runs []struct {
			Results []struct{ RuleID string }
		}
	}
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		t.Fatal(err)
	}
	for _, result := range log.Runs[0].Results {
		if result.RuleID == "" {
			t.Error("a result without a ruleId")
		}
	}
	return len(log.Runs[0].Results)
}

func junitFailures(t *testing.T, text string) int {
	var suites struct {
		Suites []struct {
			Cases []struct {
				Failures []struct{} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(text), &suites); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, suite := range suites.Suites {
		for _, one := range suite.Cases {
			n += len(one.Failures)
		}
	}
	return n
}

func prometheusFindings(t *testing.T, text string) int {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	n := 0.0
	for _, metric := range families["kubectl_prod_doctor_findings"].GetMetric() {
		n += metric.GetGauge().GetValue()
	}
	return int(n)
}
