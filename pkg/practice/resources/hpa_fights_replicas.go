package resources

import (
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// HPAFightsReplicas finds counts that two parties write.
//
// A manifest that names a count under an autoscaler sets it back with each
// deployment: at the peak, pods that carry the load are killed, until the
// autoscaler has counted its way up again.
// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
func HPAFightsReplicas() practice.Practice {
	return practice.Practice{
		ID:       "hpa-fights-replicas",
		Title:    "Replicas written by the manifest and by an autoscaler",
		Chapter:  practice.Resources,
		Severity: report.Warning,
		Reason: "A manifest that names a count under an autoscaler sets it back with each deployment. " +
			"At the peak that kills pods which carry the load, until the autoscaler has counted its way up again.",
		Judged: "Deployments and StatefulSets that a HorizontalPodAutoscaler or KEDA scales: the manifest must not set spec.replicas. " +
			"On a live cluster, where every object has a count, that is known where kubectl apply or server-side apply wrote it: of others, as what Helm wrote, nothing is told.",
		Fix: "drop spec.replicas from the manifest; on a live object, first from its last-applied configuration, or the next apply sets it to 1",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#migrating-deployments-and-statefulsets-to-horizontal-autoscaling",
		},
		Judges: []cluster.Kind{cluster.Deployments, cluster.StatefulSets},
		Uses:   []cluster.Kind{cluster.Autoscalers, cluster.ScaledObjects},
		Remedy: &practice.Remedy{
			Does:          "removes spec.replicas from the manifest",
			ManifestsOnly: true,
			Propose:       mend.Workload(dropReplicas),
		},
		Check: practice.EachWorkload(isScaled, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			if w.ReplicasBy == "" {
				return nil
			}
			return []practice.Finding{practice.On(w.Owner, "spec.replicas", "%s sets spec.replicas, and %s scales it: each deployment undoes the autoscaler's choice",
				w.ReplicasBy, w.Scaler)}
		}),
	}
}

func isScaled(w *cluster.Workload) bool {
	return w.HasReplicas() && w.Scaler != "" && !strings.HasPrefix(w.Scaler, "Knative ")
}
