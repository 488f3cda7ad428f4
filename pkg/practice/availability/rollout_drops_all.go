package availability

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RolloutDropsAll finds rollouts that may stop every pod at once.
//
// maxUnavailable bounds how many pods a rollout may take away before new ones
// are ready. Where it is all of them, each release is an outage.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment
func RolloutDropsAll() practice.Practice {
	return practice.Practice{
		ID:       "rollout-drops-all",
		Title:    "Rollout that may stop every pod at once",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason:   "maxUnavailable bounds how many pods a rollout may take away before new ones are ready. Where that is all of them, each release is an outage, and a bad one stays an outage.",
		Judged: "Deployments behind a Service with strategy RollingUpdate: maxUnavailable of the wanted pods, percentages rounded down and never both it and maxSurge 0, as the controller computes it. " +
			"StatefulSets of several pods likewise where they set maxUnavailable.",
		Fix: "set maxUnavailable: 0 and maxSurge: 1, or at least leave one pod",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#max-unavailable",
			"https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/deployment/util/deployment_util.go (ResolveFenceposts)",
		},
		Needs:  []cluster.Kind{cluster.Services},
		Judges: []cluster.Kind{cluster.Deployments, cluster.StatefulSets},
		Uses:   []cluster.Kind{cluster.Autoscalers},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			judge := func(w *cluster.Workload, path string, unavailable, surge *intstr.IntOrString) {
				if w == nil || !w.IsServed() || *w.Replicas == 0 {
					return
				}
				v.Judged = append(v.Judged, w.Owner)
				if gone := dropped(int(wanted(w)), unavailable, surge); gone >= int(wanted(w)) {
					v.Findings = append(v.Findings, practice.On(w.Owner, path, "a rollout may stop %d of %d pods at once, and Service %s sends them traffic", gone, wanted(w), w.Services[0].Name))
				}
			}
			for _, d := range s.Deployments {
				if rolling := d.Spec.Strategy.RollingUpdate; rolling != nil && d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
					judge(workloadOf(s, "Deployment", &d.ObjectMeta), "spec.strategy.rollingUpdate.maxUnavailable", rolling.MaxUnavailable, rolling.MaxSurge)
				}
			}
			for _, set := range s.StatefulSets {
				if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.MaxUnavailable != nil && orOne(set.Spec.Replicas) > 1 {
					one := intstr.FromInt32(1) // a StatefulSet has no surge, and takes at least one
					judge(workloadOf(s, "StatefulSet", &set.ObjectMeta), "spec.updateStrategy.rollingUpdate.maxUnavailable", rolling.MaxUnavailable, &one)
				}
			}
			return v
		},
	}
}

func orOne(replicas *int32) int32 {
	if replicas == nil {
		return 1
	}
	return *replicas
}

// dropped is how many of the wanted pods a rollout may stop. What is not set
// is a quarter, as the API server defaults it.
func dropped(wanted int, unavailable, surge *intstr.IntOrString) int {
	quarter := intstr.FromString("25%")
	if unavailable == nil {
		unavailable = &quarter
	}
	if surge == nil {
		surge = &quarter
	}
	away, err := intstr.GetScaledValueFromIntOrPercent(unavailable, wanted, false)
	if err != nil {
		return 0 // the API server refuses it
	}
	if more, err := intstr.GetScaledValueFromIntOrPercent(surge, wanted, true); err == nil && more == 0 && away == 0 {
		return 1 // or the rollout could not move
	}
	return away
}
