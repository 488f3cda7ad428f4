package availability

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RolloutStuck finds releases that never arrived.
//
// A Deployment that makes no progress says so in a condition and keeps the old
// pods: half a release runs, and the next one starts from there.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment
func RolloutStuck() practice.Practice {
	return practice.Practice{
		ID:       "rollout-stuck",
		Title:    "Rollout that makes no progress",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A Deployment that makes no progress keeps its old pods and says so in a condition that nobody is told of. Half a release runs, and the next one starts from there.",
		Judged: "Deployments whose condition Progressing is false with reason ProgressDeadlineExceeded, or that cannot create pods (ReplicaFailure), as for a quota or an admission webhook. " +
			"Why its pods do not run is told by the practices on pods.",
		Fix:      "mend the new pods, or go back: kubectl rollout undo",
		Sources:  []string{"https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Deployments},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, d := range s.Deployments {
				w := workloadOf(s, "Deployment", &d.ObjectMeta)
				v.Judged = append(v.Judged, w.Owner)
				for _, c := range d.Status.Conditions {
					if failed := c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue; failed || stalled(c) {
						v.Findings = append(v.Findings, practice.On(w.Owner, "status.conditions", "%d of %d pods are of the current release, for %s: %s",
							d.Status.UpdatedReplicas, *w.Replicas, since(s.Time, c.LastTransitionTime.Time), strings.TrimSpace(c.Message)).
							Mended("mend the new pods, or kubectl rollout undo deployment %s -n %s", d.Name, d.Namespace))
						break
					}
				}
			}
			return v
		},
	}
}

func stalled(c appsv1.DeploymentCondition) bool {
	return c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded"
}
