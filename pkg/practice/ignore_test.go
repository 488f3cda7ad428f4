package practice

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// annotated is one faulty pod; OBJECT and NAMESPACE become annotations.
const annotated = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {NAMESPACE}}
---
apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: shop, labels: {app: bad}, annotations: {OBJECT}}
spec: {containers: [{name: first, image: a}, {name: second, image: a}]}
`

// badContainers finds fault with every container.
func badContainers() Practice {
	p := badPods("bad-container", report.Warning)
	p.Check = EachContainer(func(_ *cluster.Snapshot, c cluster.Container) []Finding {
		return []Finding{On(c.Workload.Owner, c.Path+".image", "%s is bad", c.Name)}
	})
	return p
}

func TestIgnores(t *testing.T) {
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	day := func(text string) time.Time {
		parsed, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	selector, err := labels.Parse("app=bad")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		object, namespace string
		ignores           []Ignore
		left              int    // of the two findings
		warning           string // part of the one warning
	}{
		"nothing ignored":                         {left: 2},
		"an annotation on the object":             {object: `ignore.prod.kubectl.io/bad-container: "vendor image"`},
		"an annotation on the namespace":          {namespace: `ignore.prod.kubectl.io/bad-container: "all theirs"`},
		"an annotation that still holds":          {object: `ignore.prod.kubectl.io/bad-container: "vendor; until 2026-06-15"`},
		"an annotation that has ended":            {object: `ignore.prod.kubectl.io/bad-container: "vendor; until 2026-06-14"`, left: 2, warning: "until 2026-06-14, which has passed"},
		"an annotation without a reason":          {object: `ignore.prod.kubectl.io/bad-container: ""`, left: 2, warning: "without a reason"},
		"an annotation with a date that is none":  {object: `ignore.prod.kubectl.io/bad-container: "vendor; until Easter"`, left: 2, warning: `until "Easter", which is no date`},
		"an annotation for another practice":      {object: `ignore.prod.kubectl.io/other: "vendor"`, left: 2},
		"by practice":                             {ignores: []Ignore{{Practice: "bad-container", Reason: "r"}}},
		"by chapter":                              {ignores: []Ignore{{Practice: "resources", Reason: "r"}}},
		"everything":                              {ignores: []Ignore{{Practice: "*", Reason: "r"}}},
		"by namespace":                            {ignores: []Ignore{{Practice: "*", Namespace: "sh*", Reason: "r"}}},
		"by another namespace":                    {ignores: []Ignore{{Practice: "*", Namespace: "shopp", Reason: "r"}}, left: 2},
		"by kind and name":                        {ignores: []Ignore{{Practice: "*", Kind: "pod", Name: "b?d", Reason: "r"}}},
		"by label":                                {ignores: []Ignore{{Practice: "*", Selector: selector, Reason: "r"}}},
		"by container":                            {ignores: []Ignore{{Practice: "*", Container: "second", Reason: "r"}}, left: 1},
		"all that is named must match":            {ignores: []Ignore{{Practice: "*", Container: "second", Namespace: "other", Reason: "r"}}, left: 2},
		"until a day that has passed":             {ignores: []Ignore{{Practice: "*", Until: day("2026-01-01"), Reason: "r", Source: "f:3"}}, left: 2, warning: "f:3 ignores bad-container until 2026-01-01"},
		"a second ignore holds where one has not": {ignores: []Ignore{{Practice: "*", Until: day("2026-01-01"), Reason: "r"}, {Practice: "*", Reason: "r"}}, warning: "which has passed"},
	} {
		t.Run(name, func(t *testing.T) {
			yaml := strings.NewReplacer("OBJECT", test.object, "NAMESPACE", test.namespace).Replace(annotated)
			s, errs := cluster.Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(yaml), Time: now, AsLive: true}.Load(t.Context())
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			d := Evaluate(s, []Practice{badContainers()}, Scope{Ignores: test.ignores})
			if len(d.Findings) != test.left || len(d.Ignored) != 2-test.left {
				t.Errorf("%d findings left and %d ignored, want %d left: %+v", len(d.Findings), len(d.Ignored), test.left, d)
			}
			if d.Score.Warning != test.left || (test.left == 0) != (*d.Score.Percent == 100) {
				t.Errorf("the score counts what is ignored: %+v", d.Score)
			}
			switch {
			case test.warning == "" && len(d.Warnings) > 0:
				t.Errorf("warnings: %v", d.Warnings)
			case test.warning != "" && !slices.ContainsFunc(d.Warnings, func(w string) bool { return strings.Contains(w, test.warning) }):
				t.Errorf("warnings are %v, want %q", d.Warnings, test.warning)
			case len(d.Warnings) > 1:
				t.Errorf("warned more than once: %v", d.Warnings)
			}
		})
	}
}
