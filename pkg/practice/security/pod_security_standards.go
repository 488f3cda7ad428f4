package security

import (
	"fmt"
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
// that level alone, without those of the level below it. A restricted control
// that tightens a baseline one is left out where baseline already forbids the
// pod, so that nothing is told twice.
func (s standards) forbidden(level api.Level, w *cluster.Workload) policy.AggregateCheckResult {
	spec := defaulted(&w.Template.Spec)
	violated := map[policy.CheckID]bool{}
	var results []policy.CheckResult
	for _, wanted := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		for _, check := range s.checks {
			if check.Level != wanted {
				continue
			}
			latest := check.Versions[len(check.Versions)-1]
			if slices.ContainsFunc(latest.OverrideCheckIDs, func(id policy.CheckID) bool { return violated[id] }) {
				continue
			}
			result := latest.CheckPod(&w.Template.ObjectMeta, spec)
			violated[check.ID] = !result.Allowed
			if check.Level == level {
				results = append(results, result)
			}
		}
	}
	return policy.AggregateCheckResults(results)
}

// strictest is the strictest level that a Workload's template meets.
func (s standards) strictest(w *cluster.Workload) api.Level {
	switch {
	case !s.forbidden(api.LevelBaseline, w).Allowed:
		return api.LevelPrivileged
	case !s.forbidden(api.LevelRestricted, w).Allowed:
		return api.LevelBaseline
	default:
		return api.LevelRestricted
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
	filled := *spec
	filled.Volumes = slices.Clone(spec.Volumes)
	for i := range filled.Volumes {
		if filled.Volumes[i].VolumeSource == (corev1.VolumeSource{}) {
			filled.Volumes[i].EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	return &filled
}
