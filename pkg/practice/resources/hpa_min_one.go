package resources

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// HPAMinOne finds services that their autoscaler may leave with one pod.
//
// An autoscaler brings a quiet service down to its minimum. With one pod, the
// next drain or eviction takes the service away, and it happens at night.
// https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
func HPAMinOne() practice.Practice {
	return practice.Practice{
		ID:       "hpa-min-one",
		Title:    "Autoscaler that may leave a served workload one pod",
		Chapter:  practice.Resources,
		Severity: report.Warning,
		Reason: "An autoscaler brings a quiet service down to its minimum. With one pod left, the next drain or eviction takes the service away, " +
			"and quiet hours are when nodes are drained.",
		Judged: "HorizontalPodAutoscalers with minReplicas 1, or none, which means 1, whose target stands behind a Service. " +
			"Exempt are targets at zero and what KEDA scales, which may go to none on purpose.",
		Fix: "set minReplicas to at least 2",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#dealing-with-disruptions",
		},
		Needs:  []cluster.Kind{cluster.Autoscalers, cluster.Services},
		Judges: []cluster.Kind{cluster.Deployments, cluster.StatefulSets},
		Uses:   []cluster.Kind{cluster.ScaledObjects},
		Remedy: &practice.Remedy{
			Does: "sets spec.minReplicas: 2, with a topology spread and a PodDisruptionBudget for the target where it has none; refused for StatefulSets, " +
				"and where a volume claim, the strategy Recreate or a host port speaks against a second pod",
			Uses:    []cluster.Kind{cluster.Budgets, cluster.Nodes},
			Propose: raiseMinimum,
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, w := range s.Workloads() {
				hpa := w.Autoscaler
				if hpa == nil || !w.IsServed() || !w.HasReplicas() || *w.Replicas == 0 || w.Scaler != "HorizontalPodAutoscaler "+hpa.Name {
					continue
				}
				v.Judged = append(v.Judged, autoscalerRef(hpa))
				if fewest(hpa) == 1 {
					v.Findings = append(v.Findings, practice.On(autoscalerRef(hpa), "spec.minReplicas",
						"may leave %s %s one pod, and Service %s depends on it", w.Self.Kind, w.Self.Name, w.Services[0].Name).
						Mended("kubectl patch hpa %s -n %s -p '{\"spec\":{\"minReplicas\":2}}'", hpa.Name, hpa.Namespace))
				}
			}
			return v
		},
	}
}
