// Package expression makes practices of the user's own rules, written in CEL
// (https://cel.dev), the language of Kubernetes' own validation rules.
package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Workloads stands for every kind that runs pods, judged as their owners.
const Workloads = "workloads"

// Rule is a practice as a user writes it.
type Rule struct {
	ID       string
	Title    string
	Severity report.Severity
	Reason   string
	Fix      string
	// Kinds are what the rule judges: resources as kubectl names them, or
	// "workloads".
	Kinds []string
	// Expression is CEL over object (the whole object as its JSON) and podSpec
	// (of a workload its pod template's spec, else null); true means in order.
	Expression string
	// Message is CEL over the same that makes the finding's text; empty for
	// the title.
	Message string
}

// costLimit bounds one evaluation, in CEL's own units: a few hundred thousand
// steps, so that a rule over a large object ends.
const costLimit = 1_000_000

// costBudget bounds a rule over all objects together: seconds, where each of ten
// thousand objects just kept the limit.
const costBudget = 20 * costLimit

// Practice compiles a rule. The error says what does not compile, and where.
func (r Rule) Practice() (practice.Practice, error) {
	kinds, workloads, err := r.kinds()
	if err != nil {
		return practice.Practice{}, err
	}
	holds, err := compile(r.Expression, cel.BoolType)
	if err != nil {
		return practice.Practice{}, fmt.Errorf("expression: %w", err)
	}
	judge := judge{rule: r, holds: holds, budget: costBudget}
	if r.Message != "" {
		if judge.message, err = compile(r.Message, cel.StringType); err != nil {
			return practice.Practice{}, fmt.Errorf("message: %w", err)
		}
	}
	p := practice.Practice{
		ID: r.ID, Title: r.Title, Severity: r.Severity, Reason: r.Reason, Fix: r.Fix,
		Chapter: practice.Custom,
		Judged:  "Each of " + strings.Join(r.Kinds, ", ") + ", by the expression: " + r.Expression,
		Judges:  kinds,
		Check: func(s *cluster.Snapshot) practice.Verdict {
			return judge.verdict(s, kinds, workloads)
		},
	}
	return p, nil
}

// kinds are what the rule reads; workloads is true when it judges all of them.
func (r Rule) kinds() (kinds []cluster.Kind, workloads bool, err error) {
	if len(r.Kinds) == 0 {
		return nil, false, errors.New("kinds: name at least one, or workloads")
	}
	for _, name := range r.Kinds {
		switch {
		case name == Workloads:
			workloads = true
			kinds = append(kinds, cluster.WorkloadKinds()...)
		case slices.Contains(cluster.Kinds(), cluster.Kind(name)):
			kinds = append(kinds, cluster.Kind(name))
		default:
			return nil, false, fmt.Errorf("kinds: %q is not read; these are: %s, %s", name, Workloads, joined(cluster.Kinds()))
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), workloads, nil
}

func joined(kinds []cluster.Kind) string {
	var names []string
	for _, kind := range kinds {
		names = append(names, string(kind))
	}
	return strings.Join(names, ", ")
}

func compile(text string, want *cel.Type) (cel.Program, error) {
	env, err := cel.NewEnv(
		cel.Variable("object", cel.DynType), cel.Variable("podSpec", cel.DynType),
		cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Lists(), ext.Math(),
	)
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, errors.New(strings.Join(strings.Fields(issues.Err().Error()), " "))
	}
	if got := ast.OutputType(); !got.IsExactType(want) && !got.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it yields %s, and has to yield %s", got, want)
	}
	return env.Program(ast, cel.CostLimit(costLimit))
}

// judge holds a compiled rule against objects.
type judge struct {
	rule           Rule
	holds, message cel.Program
	budget         uint64
}

// verdict judges all objects. One on which the expression fails leaves the
// practice unjudged: a rule that cannot be trusted says so.
func (j judge) verdict(s *cluster.Snapshot, kinds []cluster.Kind, workloads bool) practice.Verdict {
	var v practice.Verdict
	var failed []error
	var cost uint64
	one := func(ref cluster.Ref, object, podSpec any) {
		v.Judged = append(v.Judged, ref)
		if cost > j.budget {
			return
		}
		finding, err := j.one(ref, object, podSpec, &cost)
		if err != nil {
			failed = append(failed, fmt.Errorf("the expression fails on %s: %w", ref, err))
		} else if finding != nil {
			v.Findings = append(v.Findings, *finding)
		}
	}
	if workloads {
		for _, w := range s.Workloads() {
			spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&w.Template.Spec)
			if err != nil {
				failed = append(failed, err)
				continue
			}
			one(w.Owner, objectOf(s, w), spec)
		}
	}
	for _, kind := range kinds {
		if !workloads || !slices.Contains(cluster.WorkloadKinds(), kind) {
			for ref, object := range s.Objects(kind) {
				one(ref, object, nil)
			}
		}
	}
	if cost > j.budget {
		return practice.Verdict{NotChecked: fmt.Sprintf("the expression costs too much over %d objects: it was ended", len(v.Judged))}
	}
	if len(failed) > 0 {
		return practice.Verdict{NotChecked: fmt.Sprintf("%v (and on %d more)", failed[0], len(failed)-1)}
	}
	return v
}

// objectOf is the object that holds a Workload's template; where only its pods or
// its template were read, as much of it as is known.
func objectOf(s *cluster.Snapshot, w *cluster.Workload) any {
	if object := s.Object(w.Self); object != nil {
		return object
	}
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: w.Self.APIVersion, Kind: w.Self.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: w.Self.Name, Namespace: w.Self.Namespace, Labels: w.Meta.Labels, Annotations: w.Meta.Annotations},
	}
}

// one judges one object; nil is in order. CEL's own functions may panic on
// what they were not made for; that ends the rule, not the run.
func (j judge) one(ref cluster.Ref, object, podSpec any, cost *uint64) (finding *practice.Finding, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panics: %v", p)
		}
	}()
	input := map[string]any{"object": nil, "podSpec": podSpec}
	if object != nil {
		if input["object"], err = runtime.DefaultUnstructuredConverter.ToUnstructured(object); err != nil {
			return nil, err
		}
	}
	holds, details, err := j.holds.Eval(input)
	if spent := details.ActualCost(); spent != nil {
		*cost += *spent
	}
	if err != nil {
		return nil, err
	}
	if holds == types.True {
		return nil, nil
	}
	if holds != types.False {
		return nil, fmt.Errorf("it yields %v, which is neither true nor false", holds.Value())
	}
	said := j.rule.Title
	if j.message != nil {
		text, _, err := j.message.Eval(input)
		if err != nil {
			return nil, fmt.Errorf("message: %w", err)
		}
		said = fmt.Sprint(text.Value())
	}
	found := practice.On(ref, "", "%s", said)
	return &found, nil
}
