package expression

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types/ref"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const shop = `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: canary, namespace: shop, labels: {team: front}}
spec: {template: {spec: {containers: [{name: app, image: registry.example.com/web:1}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {team: front}}
spec: {template: {spec: {containers: [{name: app, image: registry.example.com/web:1}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec: {schedule: "0 3 * * *", jobTemplate: {spec: {template: {spec: {containers: [{name: app, image: elsewhere.example/job:1}]}}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: NodePort}
`

func judgeShop(t *testing.T, rule Rule) (*report.Diagnosis, error) {
	t.Helper()
	s, errs := cluster.Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(shop), Time: time.Unix(0, 0)}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	rule.ID, rule.Title, rule.Severity = "rule", "Something is wrong", report.Warning
	p, err := rule.Practice()
	if err != nil {
		return nil, err
	}
	return practice.Evaluate(s, []practice.Practice{p}, practice.Scope{}), nil
}

func TestRules(t *testing.T) {
	for name, test := range map[string]struct {
		rule Rule
		want []string // "kind name: message"
	}{
		"labels of some kinds": {
			Rule{Kinds: []string{"deployments.apps", "cronjobs.batch"}, Expression: `"team" in object.metadata.?labels.orValue({})`},
			[]string{"CronJob nightly: Something is wrong"},
		},
		"images of all workloads, with a message": {
			Rule{Kinds: []string{"workloads"}, Expression: `podSpec.containers.all(c, c.image.startsWith("registry.example.com/"))`,
				Message: `"runs " + podSpec.containers[0].image`},
			[]string{"CronJob nightly: runs elsewhere.example/job:1"},
		},
		"a custom resource has a name and labels like the others": {
			Rule{Kinds: []string{"workloads"}, Expression: `object.kind != "Rollout" || object.metadata.name != "canary" || object.metadata.labels.team != "front"`},
			[]string{"Rollout canary: Something is wrong"},
		},
		"another kind": {
			Rule{Kinds: []string{"services"}, Expression: `object.spec.type != "NodePort"`},
			[]string{"Service web: Something is wrong"},
		},
		"nothing wrong": {
			Rule{Kinds: []string{"services", "workloads"}, Expression: `true`}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := judgeShop(t, test.rule)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range d.Findings {
				got = append(got, f.Object.Kind+" "+f.Object.Name+": "+f.Message)
			}
			if !slices.Equal(got, test.want) || !d.Practices[0].Checked {
				t.Errorf("found %q, want %q (%+v)", got, test.want, d.NotChecked)
			}
		})
	}
}

func TestRulesThatDoNotCompile(t *testing.T) {
	for name, test := range map[string]struct {
		rule Rule
		want string
	}{
		"syntax":              {Rule{Kinds: []string{"pods"}, Expression: `object.`}, "expression: ERROR: <input>:1:8: Syntax error"},
		"an unknown name":     {Rule{Kinds: []string{"pods"}, Expression: `pod.spec`}, "undeclared reference to 'pod'"},
		"not a truth":         {Rule{Kinds: []string{"pods"}, Expression: `"yes"`}, "expression: it yields string, and has to yield bool"},
		"no text":             {Rule{Kinds: []string{"pods"}, Expression: `true`, Message: `1`}, "message: it yields int, and has to yield string"},
		"no kind":             {Rule{Expression: `true`}, "kinds: name at least one"},
		"a kind nobody reads": {Rule{Kinds: []string{"widgets"}, Expression: `true`}, `kinds: "widgets" is not read; these are: workloads, `},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := judgeShop(t, test.rule); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, test.want)
			}
		})
	}
}

func TestRulesThatFailAreNotJudged(t *testing.T) {
	for name, test := range map[string]struct{ expression, want string }{
		"no such key":    {`object.metadata.labels.team == "front"`, "the expression fails on cronjob.batch/nightly: no such key: labels"},
		"not a truth":    {`object.metadata.name`, "neither true nor false"},
		"far too costly": {`[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, a+b+c+d+e > 0)))))`, "cost limit exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := judgeShop(t, Rule{Kinds: []string{"workloads"}, Expression: test.expression})
			if err != nil {
				t.Fatal(err)
			}
			if d.Practices[0].Checked || len(d.NotChecked) != 1 || !strings.Contains(d.NotChecked[0].Reason, test.want) {
				t.Errorf("told as %+v, want %q", d.NotChecked, test.want)
			}
		})
	}
}

func TestARuleThatIsDearOverAllObjectsIsEnded(t *testing.T) {
	var manifests strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&manifests, "---\napiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: shop}\n", i)
	}
	s, errs := cluster.Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(manifests.String()), Time: time.Unix(0, 0)}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	const digits = "[1,2,3,4,5,6,7,8,9,10]"
	holds, err := compile(digits+".all(a, "+digits+".all(b, a+b > 0))", cel.BoolType)
	if err != nil {
		t.Fatal(err)
	}
	verdict := judge{holds: holds, budget: 50_000}.verdict(s, []cluster.Kind{cluster.Services}, false)
	if verdict.NotChecked != "the expression costs too much over 2000 objects: it was ended" {
		t.Errorf("got %+v", verdict)
	}
	if verdict := (judge{holds: holds, budget: costBudget}).verdict(s, []cluster.Kind{cluster.Services}, false); verdict.NotChecked != "" || len(verdict.Judged) != 2000 {
		t.Errorf("an ordinary rule is ended: %s", verdict.NotChecked)
	}
}

// panicking is a program as CEL's own functions may be.
type panicking struct{ cel.Program }

func (panicking) Eval(any) (ref.Val, *cel.EvalDetails, error) { panic("index out of range") }

func TestARuleThatPanicsEndsItselfAlone(t *testing.T) {
	var cost uint64
	_, err := judge{holds: panicking{}}.one(cluster.Ref{Kind: "Pod", Name: "p"}, nil, nil, &cost)
	if err == nil || err.Error() != "it panics: index out of range" {
		t.Errorf("got %v", err)
	}
}
