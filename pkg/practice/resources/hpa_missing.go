package resources

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// HPAMissing finds services whose number of pods only a person changes.
//
// A fixed count is either paid for at night or too small at the peak; the load
// that matters arrives faster than a person does. A stateless Deployment that
// already runs in several replicas can be scaled by its load.
// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
func HPAMissing() practice.Practice {
	return practice.Practice{
		ID:       "hpa-missing",
		Title:    "Served Deployment that nothing scales",
		Chapter:  practice.Resources,
		Severity: report.Info,
		Reason: "A fixed number of pods is either paid for at night or too small at the peak, and the load that matters arrives faster than a person does. " +
			"A stateless Deployment that already runs in several replicas can be scaled by its load.",
		Judged: "Deployments with at least 2 replicas behind a Service. Exempt are those with a claim of their own (state), those that an operator made (it scales them), " +
			"and those that a HorizontalPodAutoscaler, KEDA, a VerticalPodAutoscaler or Knative scales.",
		Fix: "create a HorizontalPodAutoscaler",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/",
		},
		Needs: []cluster.Kind{cluster.Deployments, cluster.Services, cluster.Autoscalers},
		Uses:  []cluster.Kind{cluster.ScaledObjects, cluster.VerticalScalers},
		Remedy: &practice.Remedy{
			Does: "creates a HorizontalPodAutoscaler on 70 % of CPU, from the present number of pods to three times that, and drops spec.replicas from the manifest; " +
				"refused where a container requests no CPU, the metrics API is missing, or a live object's count is applied again with each deployment",
			Uses:    []cluster.Kind{cluster.LimitRanges, cluster.PodMetrics, cluster.ResourceQuotas},
			Propose: mend.Workload(createAutoscaler),
		},
		Check: practice.EachWorkload(couldScale, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			if w.Scaler != "" || w.VerticalScaler != "" {
				return nil
			}
			return []practice.Finding{practice.On(w.Owner, "spec.replicas",
				"%d replicas behind Service %s, and nothing scales them with the load", *w.Replicas, w.Services[0].Name).
				Mended("kubectl autoscale deployment %s -n %s --min=%d --max=%d --cpu=70%%", w.Self.Name, w.Self.Namespace, *w.Replicas, 3**w.Replicas)}
		}),
	}
}

func couldScale(w *cluster.Workload) bool {
	return w.Self.Kind == "Deployment" && w.Owner == w.Self && w.HasReplicas() && *w.Replicas >= 2 && w.IsServed() && !claims(w)
}

// claims reports whether the Workload's pods mount a volume that outlives them.
func claims(w *cluster.Workload) bool {
	for _, volume := range w.Template.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			return true
		}
	}
	return false
}
