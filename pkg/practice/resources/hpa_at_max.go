package resources

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// HPAAtMax finds autoscalers that want more pods than they may have.
//
// At its maximum an autoscaler is a fixed count again: what the load asks for
// beyond it is paid in latency, and no alert of Kubernetes' own says so.
// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
func HPAAtMax() practice.Practice {
	return practice.Practice{
		ID:       "hpa-at-max",
		Title:    "Autoscaler that is held at its maximum",
		Chapter:  practice.Resources,
		Severity: report.Warning,
		Reason: "At its maximum an autoscaler is a fixed count again. What the load asks for beyond it is paid in latency, " +
			"and nothing in Kubernetes says so.",
		Judged: "Each HorizontalPodAutoscaler that runs maxReplicas and, by its condition ScalingLimited (TooManyReplicas), has wanted more for 10 minutes. " +
			"One whose minimum is its maximum is fixed on purpose.",
		Fix: "raise maxReplicas if the cluster and what stands behind the service can carry it, or find out why each pod does so little",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/#appendix-horizontal-pod-autoscaler-status-conditions",
		},
		Now:      true,
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Autoscalers},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, hpa := range s.Autoscalers {
				if len(hpa.Status.Conditions) == 0 {
					continue
				}
				v.Judged = append(v.Judged, scalerRef(hpa))
				limited := lasting(s, hpa, autoscalingv2.ScalingLimited, corev1.ConditionTrue)
				if limited == nil || limited.Reason != "TooManyReplicas" || hpa.Status.CurrentReplicas < hpa.Spec.MaxReplicas || fewest(hpa) == hpa.Spec.MaxReplicas {
					continue
				}
				v.Findings = append(v.Findings, practice.On(scalerRef(hpa), "spec.maxReplicas",
					"runs its maximum of %d pods and has wanted more for %s", hpa.Spec.MaxReplicas, span(s.Time.Sub(limited.LastTransitionTime.Time))))
			}
			return v
		},
	}
}
