package security

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PodSecurityViolation finds workloads that live on until their next pod.
//
// Admission looks at new pods alone. What ran before a namespace's level was
// raised runs on, and is refused when a node is drained or a pod restarted: the
// outage comes days after the change that caused it.
// https://kubernetes.io/docs/concepts/security/pod-security-admission/
func PodSecurityViolation() practice.Practice {
	return practice.Practice{
		ID:       "pod-security-violation",
		Title:    "Workload whose next pod its namespace refuses",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "Pod Security admission looks at new pods alone. What ran before a namespace's level was raised runs on, and is refused at the next drain or restart: " +
			"the outage comes days after the change that caused it.",
		Judged: "Each workload in a namespace with a label " + api.EnforceLevelLabel + ": its pod template, by the API server's own checks for the level and version of the labels. " +
			"Static pods are exempt, and exemptions in the API server's own configuration cannot be seen. What admission changes in a pod before it is judged cannot be seen in a template: " +
			"a workload all of whose running pods comply is in order.",
		Fix: "mend the securityContext that the message names, or lower the namespace's level before the next restart",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/security/pod-security-admission/#pod-security-admission-labels-for-namespaces",
			"https://pkg.go.dev/k8s.io/pod-security-admission/policy",
		},
		Needs:  []cluster.Kind{cluster.Namespaces},
		Judges: cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does:    "writes those controls of pss-baseline and pss-restricted that the namespace's level asks for, under the same conditions",
			LeadsTo: []string{"pod-security-level-loose"},
			Propose: mend.Workload(meetOwnLevel),
		},
		Check: checkViolations,
	}
}

func checkViolations(s *cluster.Snapshot) practice.Verdict {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return practice.Verdict{NotChecked: err.Error()}
	}
	return practice.EachWorkload(
		func(w *cluster.Workload) bool { return !w.IsStatic() && enforcesSomething(s, w) },
		func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			level, _ := enforced(s.Namespace(w.Self.Namespace))
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &w.Template.ObjectMeta, defaulted(&w.Template.Spec)))
			if result.Allowed {
				return nil
			}
			running, refused := 0, 0
			for _, pod := range revisions(w) {
				running++
				if !policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, pod.Spec.PodSpec)).Allowed {
					refused++
				}
			}
			if running > 0 && refused == 0 {
				return nil // admission mends the pods before it judges them
			}
			return []practice.Finding{practice.On(w.Owner, w.TemplatePath, "namespace %s enforces %s, which refuses its next pod%s: %s",
				w.Self.Namespace, levelText(level), stillRunning(w), result.ForbiddenDetail())}
		})(s)
}

func enforcesSomething(s *cluster.Snapshot, w *cluster.Workload) bool {
	ns := s.Namespace(w.Self.Namespace)
	if ns == nil {
		return false
	}
	level, set := enforced(ns)
	return set && level.Level != api.LevelPrivileged
}

func levelText(level api.LevelVersion) string {
	if level.Latest() {
		return string(level.Level)
	}
	return fmt.Sprintf("%s (%s)", level.Level, level.Version)
}

// stillRunning counts the pods that were admitted before.
func stillRunning(w *cluster.Workload) string {
	running := 0
	for _, pod := range w.Pods {
		if pod.Status.Phase == corev1.PodRunning {
			running++
		}
	}
	if running == 0 {
		return ""
	}
	return fmt.Sprintf(" (running from before: %d)", running)
}
