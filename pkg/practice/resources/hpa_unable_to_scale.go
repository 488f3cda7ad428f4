package resources

import (
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// HPAUnableToScale finds autoscalers that say themselves that they cannot.
//
// An autoscaler that gets no metric, or cannot set its target's count, leaves
// everything as it is and notes it in its status, where nobody looks before the
// peak.
// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
func HPAUnableToScale() practice.Practice {
	return practice.Practice{
		ID:       "hpa-unable-to-scale",
		Title:    "Autoscaler that cannot scale",
		Chapter:  practice.Resources,
		Severity: report.Critical,
		Reason: "An autoscaler that gets no metric, or cannot set its target's count, leaves everything as it is and notes it in its status, " +
			"where nobody looks before the peak.",
		Judged: "The conditions AbleToScale and ScalingActive of each HorizontalPodAutoscaler, once they are false for 10 minutes. " +
			"Exempt are autoscalers whose target is scaled to zero, which rest on purpose, and those whose cause hpa-target-missing or hpa-without-requests names.",
		Fix: "kubectl describe hpa shows what it lacks",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/",
			"https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/#appendix-horizontal-pod-autoscaler-status-conditions",
		},
		Now:      true,
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Autoscalers},
		Uses:     append(cluster.WorkloadKinds(), cluster.LimitRanges),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			existing, targets := scalable(s), scaledBy(s)
			for _, hpa := range s.Autoscalers {
				if len(hpa.Status.Conditions) == 0 {
					continue // the controller has not looked at it yet
				}
				v.Judged = append(v.Judged, scalerRef(hpa))
				if kind, known := targetKind(hpa); known && s.WasRead(kind) && len(danglingTarget(hpa, existing)) > 0 {
					continue
				}
				if w := targets[hpa]; w != nil && len(unrequested(s, hpa, w)) > 0 {
					continue
				}
				v.Findings = append(v.Findings, unable(s, hpa)...)
			}
			return v
		},
	}
}

func unable(s *cluster.Snapshot, hpa *autoscalingv2.HorizontalPodAutoscaler) []practice.Finding {
	for _, kind := range []autoscalingv2.HorizontalPodAutoscalerConditionType{autoscalingv2.AbleToScale, autoscalingv2.ScalingActive} {
		c := lasting(s, hpa, kind, corev1.ConditionFalse)
		if c == nil || c.Reason == "ScalingDisabled" { // its target is at zero
			continue
		}
		return []practice.Finding{practice.On(scalerRef(hpa), "status.conditions", "%s is false for %s (%s): %s",
			c.Type, span(s.Time.Sub(c.LastTransitionTime.Time)), c.Reason, strings.TrimSpace(c.Message)).
			Mended("kubectl describe hpa %s -n %s", hpa.Name, hpa.Namespace)}
	}
	return nil
}
