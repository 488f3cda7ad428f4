package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func catalogue() []practice.Practice {
	return []practice.Practice{
		{ID: "run-as-root", Chapter: practice.Security},
		{ID: "volume-usage-high", Chapter: practice.Observability, Thresholds: practice.Thresholds{{Name: "percent", Value: 85}, {Name: "inodes", Value: 80}}},
		{ID: "pdb-missing", Chapter: practice.Availability},
		{ID: "cpu-limit-unset", Chapter: practice.Resources},
	}
}

func TestAFileInFull(t *testing.T) {
	c, err := Parse("f", []byte(`
apiVersion: prod.kubectl.io/v1alpha1
kind: Config
practices:
  pdb-missing: {severity: critical}
  run-as-root: {enabled: false}
  cpu-limit-unset: {enabled: true}
  volume-usage-high: {thresholds: {percent: 92.5}}
ignore:
- practice: security
  namespace: legacy-*
  selector: app=old,tier
  reason: vendor image
  until: "2026-12-31"
- practice: "*"
  kind: job
  reason: one-offs
`), catalogue())
	if err != nil {
		t.Fatal(err)
	}
	if c.Severities["pdb-missing"] != report.Critical || !slices.Equal(c.Skip, []string{"run-as-root"}) || !slices.Equal(c.Enable, []string{"cpu-limit-unset"}) {
		t.Errorf("settings are %+v", c)
	}
	if got := c.Thresholds["volume-usage-high"]; len(got) != 1 || got["percent"] != 92.5 {
		t.Errorf("thresholds are %v", got)
	}
	if len(c.Ignores) != 2 {
		t.Fatalf("ignores are %+v", c.Ignores)
	}
	first := c.Ignores[0]
	if first.Practice != "security" || first.Source != "f:10" || first.Selector == nil || first.Until != time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC) {
		t.Errorf("the first ignore is %+v", first)
	}
}

func TestMistakesAreNamedWithTheirLineAndKey(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"an unknown key":                  {"ignores: []\n", []string{`f:1: there is no key "ignores" here`}},
		"an unknown key below":            {"ignore:\n- practice: '*'\n  raeson: x\n", []string{`f:3: there is no key "raeson" here`}},
		"an unknown practice":             {"practices:\n  run-as-rot: {severity: info}\n", []string{`f:2: practices: there is no practice "run-as-rot" (kubectl prod doctor list shows them)`}},
		"an unknown severity":             {"practices:\n  run-as-root:\n    severity: high\n", []string{`f:3: practices.run-as-root.severity is "high", and has to be critical, warning or info`}},
		"an unknown threshold":            {"practices:\n  volume-usage-high:\n    thresholds:\n      bytes: 1\n", []string{`f:4: practices.volume-usage-high.thresholds.bytes: the practice has only percent, inodes`}},
		"a threshold where there is none": {"practices:\n  run-as-root:\n    thresholds: {percent: 1}\n", []string{`f:3: practices.run-as-root.thresholds.percent: the practice has no thresholds`}},
		"a threshold that is no number":   {"practices:\n  volume-usage-high:\n    thresholds:\n      percent: all\n", []string{`f:4: practices.volume-usage-high.thresholds.percent is "all", and has to be a number above 0`}},
		"a threshold of nothing":          {"practices:\n  volume-usage-high:\n    thresholds:\n      percent: 0\n", []string{`f:4: practices.volume-usage-high.thresholds.percent is "0", and has to be a number above 0`}},
		"no reason":                       {"ignore:\n- practice: run-as-root\n", []string{"f:2: ignore[0] has no reason, and needs one"}},
		"no practice":                     {"ignore:\n- reason: x\n", []string{`f:2: ignore[0].practice is "", and has to be a practice, a chapter or *`}},
		"a bad pattern":                   {"ignore:\n- practice: '*'\n  reason: x\n  name: 'a['\n", []string{`f:4: ignore[0].name is "a[", which is no glob pattern`}},
		"a bad selector":                  {"ignore:\n- practice: '*'\n  reason: x\n  selector: 'a in ('\n", []string{"f:4: ignore[0].selector does not parse"}},
		"a bad date":                      {"ignore:\n- practice: '*'\n  reason: x\n  until: Easter\n", []string{`f:4: ignore[0].until is "Easter", and has to be a date like 2026-12-31`}},
		"a wrong type":                    {"ignore: all\n", []string{"f:1: cannot unmarshal !!str `all`"}},
		"a later version":                 {"apiVersion: prod.kubectl.io/v2\n", []string{`f:1: apiVersion is "prod.kubectl.io/v2"`}},
		"another kind":                    {"kind: Pod\n", []string{`f:1: kind is "Pod"`}},
		"no YAML":                         {"a: [\n", []string{"f: line 1: did not find expected node content"}},
		"several mistakes, in the order":  {"practices:\n  b: {}\n  a: {}\nignore:\n- practice: x\n", []string{"f:2:", "f:3:", "f:5:", "f:5:"}},
		"a second document":               {"practices: {}\n---\nignore: []\n", []string{"f:2: a second document begins here, and would not be read"}},
		"no text at all":                  {"\x00\x01\x02", []string{"f: control characters are not allowed"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", []byte(test.text), catalogue())
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("errors are %q, want %q", lines, test.want)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("error is %q, want it to start with %q", lines[i], want)
				}
			}
		})
	}
}

func TestAnEmptyFileChangesNothing(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "{}\n"} {
		if c, err := Parse("f", []byte(text), catalogue()); err != nil || len(c.Skip)+len(c.Enable)+len(c.Severities)+len(c.Ignores) > 0 {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("practices: {run-as-root: {severity: info}}\nignore: [{practice: '*', reason: r, until: '2026-01-01'}]")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := Parse("f", []byte(text), catalogue()); err == nil && c == nil {
			t.Error("neither a config nor an error")
		}
	})
}
