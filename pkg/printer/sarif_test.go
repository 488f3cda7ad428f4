package printer

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// conform holds text against the official schema.
func conform(t *testing.T, schema *jsonschema.Schema, text string) sarifLog {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(instance); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	var log sarifLog
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		t.Fatal(err)
	}
	return log
}

func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat() // URIs and times are held too
	schema, err := compiler.Compile(filepath.Join("testdata", "sarif", "sarif-schema-2.1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestSARIFConformsToItsSchema(t *testing.T) {
	schema := sarifSchema(t)
	conform(t, schema, printed(t, "sarif", diagnosis()))
	conform(t, schema, printed(t, "sarif", &report.Diagnosis{}))
	eachHostile(t, "sarif", func(t *testing.T, text, out string) {
		log := conform(t, schema, out)
		if got := log.Runs[0].Results[0].Message.Text; strings.Contains(got, "](") || !strings.HasPrefix(got, unlinked(escape(text))) {
			t.Errorf("message %q of %q", got, text)
		}
	})
}

func TestTheSchemaRefusesWhatIsNoSARIF(t *testing.T) {
	wrong := strings.Replace(printed(t, "sarif", diagnosis()), `"level": "error"`, `"level": "critical"`, 1)
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(wrong))
	if err != nil {
		t.Fatal(err)
	}
	if sarifSchema(t).Validate(instance) == nil {
		t.Error("the schema holds nothing")
	}
}

func TestWhereAFindingStands(t *testing.T) {
	deployment := report.Object{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	for name, test := range map[string]struct {
		finding report.Finding
		want    string
	}{
		"a live object":                {report.Finding{Object: deployment}, "cluster/shop/deployment.apps/web"},
		"a live object of the cluster": {report.Finding{Object: report.Object{APIVersion: "v1", Kind: "Node", Name: "n1"}}, "cluster/node/n1"},
		"the cluster":                  {report.Finding{Object: report.Object{Kind: "Cluster", Name: "cluster"}}, "cluster/cluster"},
		"a name to be escaped":         {report.Finding{Object: report.Object{APIVersion: "v1", Kind: "X", Name: "a:b c%"}}, "cluster/x/a:b%20c%25"},
		"a file":                       {report.Finding{Object: deployment, File: "./a//b.yaml", Line: 3}, "a/b.yaml"},
		"a file with a blank":          {report.Finding{Object: deployment, File: "a b#c.yaml", Line: 3}, "a%20b%23c.yaml"},
		"an absolute path below":       {report.Finding{Object: deployment, File: "/repo/a.yaml", Line: 3}, "a.yaml"},
		"a path above":                 {report.Finding{Object: deployment, File: "../a.yaml", Line: 3}, "file:///a.yaml"},
		"a URL":                        {report.Finding{Object: deployment, File: "https://a.test/b.yaml"}, "https://a.test/b.yaml"},
		"standard input":               {report.Finding{Object: deployment, File: "stdin", Line: 3}, "stdin"},
		"what kustomize built":         {report.Finding{Object: deployment, File: "overlays/prod"}, "overlays/prod/kustomization.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (Options{Directory: "/repo"}).artifact(test.finding); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestAFindingKeepsItsFingerprintWhenLinesAndNumbersMove(t *testing.T) {
	before := report.Finding{Practice: "p", Object: report.Object{Name: "web"}, Path: "spec.containers[0]", Message: "restarted 3 times", Line: 3}
	after, other := before, before
	after.Message, after.Line = "restarted 9 times", 30
	other.Path = "spec.containers[1]"
	print := func(f report.Finding) string { return fingerprints(f, map[string]int{})["primaryLocationLineHash"] }
	if print(before) != print(after) {
		t.Error("it is another alert after an edit above it")
	}
	if print(before) == print(other) {
		t.Error("two containers are one alert")
	}
	told := map[string]int{}
	first, second := fingerprints(before, told), fingerprints(before, told)
	if first["kubectlProd/v1"] == second["kubectlProd/v1"] {
		t.Error("two findings of one field are one alert")
	}
}
