package security

import (
	"fmt"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// standards judges pod templates by the Pod Security Standards, latest
// version, with the checks that the API server's own admission runs.
type standards struct {
	checks []policy.Check
}

func newStandards() standards { return standards{policy.DefaultChecks()} }

// forbidden is what a level forbids in a Workload's template: the controls of
// that level alone, without those of the level below it.
func (s standards) forbidden(level api.Level, w *cluster.Workload) policy.AggregateCheckResult {
	var results []policy.CheckResult
	for of, result := range s.results(w) {
		if of == level {
			results = append(results, result)
		}
	}
	return policy.AggregateCheckResults(results)
}

// strictest is the strictest level that a Workload's template meets.
func (s standards) strictest(w *cluster.Workload) api.Level {
	for level, result := range s.results(w) {
		switch {
		case result.Allowed:
		case level == api.LevelBaseline:
			return api.LevelPrivileged
		default:
			return api.LevelBaseline
		}
	}
	return api.LevelRestricted
}

// results are what each control says of a Workload's template, baseline's first.
// A restricted control that tightens a baseline one is left out where baseline
// already forbids the pod, so that nothing is told twice.
func (s standards) results(w *cluster.Workload) iter.Seq2[api.Level, policy.CheckResult] {
	return func(yield func(api.Level, policy.CheckResult) bool) {
		spec := defaulted(&w.Template.Spec)
		var violated []policy.CheckID
		for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
			for _, check := range s.checks {
				latest := check.Versions[len(check.Versions)-1]
				if check.Level != level || slices.ContainsFunc(latest.OverrideCheckIDs, func(id policy.CheckID) bool { return slices.Contains(violated, id) }) {
					continue
				}
				result := latest.CheckPod(&w.Template.ObjectMeta, spec)
				if !result.Allowed {
					violated = append(violated, check.ID)
				}
				if !yield(level, result) {
					return
				}
			}
		}
	}
}

// violation words what a level forbids in a template.
func violation(level api.Level, result policy.AggregateCheckResult) string {
	noun := "controls"
	if len(result.ForbiddenReasons) == 1 {
		noun = "control"
	}
	return fmt.Sprintf("violates %d %s of the %s standard: %s", len(result.ForbiddenReasons), noun, level, result.ForbiddenDetail())
}

// defaulted fills what the API server fills before it judges: a volume without
// a source is an emptyDir.
func defaulted(spec *corev1.PodSpec) *corev1.PodSpec {
	sourceless := func(v corev1.Volume) bool { return v.VolumeSource == (corev1.VolumeSource{}) }
	if !slices.ContainsFunc(spec.Volumes, sourceless) {
		return spec
	}
	filled := *spec
	filled.Volumes = slices.Clone(spec.Volumes)
	for i := range filled.Volumes {
		if sourceless(filled.Volumes[i]) {
			filled.Volumes[i].EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	return &filled
}
