package availability

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RecreateServed finds services that every release takes down.
//
// The strategy Recreate stops all pods, waits until they are gone, and starts
// the new ones: between the two nobody answers.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#recreate-deployment
func RecreateServed() practice.Practice {
	return practice.Practice{
		ID:       "recreate-served",
		Title:    "Served Deployment that each rollout stops",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason:   "The strategy Recreate stops all pods, waits until they are gone, and starts the new ones. Between the two nobody answers, and when the new ones fail, nobody does at all.",
		Judged: "Deployments with strategy Recreate behind a Service. An info where the template mounts a PersistentVolumeClaim, " +
			"since a volume that one node may mount leaves no other strategy.",
		Fix:     "use the strategy RollingUpdate",
		Sources: []string{"https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#recreate-deployment"},
		Needs:   []cluster.Kind{cluster.Services, cluster.Deployments},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, d := range s.Deployments {
				w := workloadOf(s, "Deployment", &d.ObjectMeta)
				if w == nil || !w.IsServed() || *w.Replicas == 0 {
					continue
				}
				v.Judged = append(v.Judged, w.Owner)
				if d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
					continue
				}
				finding := practice.On(w.Owner, "spec.strategy.type", "each rollout stops all %d pods before it starts new ones, and Service %s sends them traffic", wanted(w), w.Services[0].Name)
				if slices.ContainsFunc(d.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil }) {
					finding = finding.As(report.Info).Mended("give each pod its own volume with a StatefulSet, or share one that many nodes may mount")
				}
				v.Findings = append(v.Findings, finding)
			}
			return v
		},
	}
}

// workloadOf finds the Workload of an object of apps/v1.
func workloadOf(s *cluster.Snapshot, kind string, meta *metav1.ObjectMeta) *cluster.Workload {
	return s.WorkloadByRef(cluster.RefOf("apps/v1", kind, meta))
}
