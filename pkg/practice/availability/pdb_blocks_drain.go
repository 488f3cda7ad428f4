package availability

import (
	"fmt"
	"strings"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PDBBlocksDrain finds budgets that let no pod go.
//
// A budget that allows no disruption stops every drain at its pods: node
// upgrades hang, autoscalers keep nodes they want to give back, and in the end
// somebody deletes the budget in the middle of the night.
// https://kubernetes.io/docs/tasks/run-application/configure-pdb/
func PDBBlocksDrain() practice.Practice {
	return practice.Practice{
		ID:       "pdb-blocks-drain",
		Title:    "Disruption budget that allows no eviction",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Reason: "A budget that allows no disruption stops every drain at its pods: node upgrades hang, autoscalers keep nodes they want to give back, " +
			"and in the end somebody deletes the budget in a hurry.",
		Judged: "Each PodDisruptionBudget that selects something: by arithmetic, as the disruption controller does it (percentages of the wanted pods, rounded up), " +
			"and live by its status (disruptionsAllowed 0 while pods are expected). A budget that blocks at its autoscaler's minimum only is a warning.",
		Fix: "leave room for one: maxUnavailable: 1, and at least 2 replicas",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/run-application/configure-pdb/#think-about-how-your-application-reacts-to-disruptions",
			"https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/disruption/disruption.go (getExpectedPodCount)",
		},
		Needs: []cluster.Kind{cluster.Budgets},
		Uses:  append(cluster.WorkloadKinds(), cluster.Autoscalers),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, budget := range s.Budgets {
				now, least := expectedPods(s.Selected(budget.Namespace, budget.Spec.Selector))
				if now == 0 && expectedByStatus(budget) == 0 {
					continue // it holds nobody up
				}
				v.Judged = append(v.Judged, budgetRef(budget))
				v.Findings = append(v.Findings, blocking(budget, now, least)...)
			}
			return v
		},
	}
}

func budgetRef(budget *policyv1.PodDisruptionBudget) cluster.Ref {
	return cluster.RefOf("policy/v1", "PodDisruptionBudget", &budget.ObjectMeta)
}

// expectedPods adds up how many pods the selected workloads want now, and at
// their autoscalers' minimum.
func expectedPods(selected []*cluster.Workload) (now, least int) {
	for _, w := range selected {
		if !w.HasReplicas() {
			now, least = now+len(w.Pods), least+len(w.Pods)
			continue
		}
		if *w.Replicas == 0 {
			continue // scaled to none, by hand or by events
		}
		now, least = now+int(wanted(w)), least+int(min(wanted(w), lowest(w)))
	}
	return now, least
}

// expectedByStatus is how many pods the disruption controller expects; 0 when
// its word is older than the budget.
func expectedByStatus(budget *policyv1.PodDisruptionBudget) int {
	if budget.Status.ObservedGeneration == 0 || budget.Status.ObservedGeneration != budget.Generation {
		return 0
	}
	return int(budget.Status.ExpectedPods)
}

// blocking says why a budget allows nothing: by its own arithmetic, which no
// healing changes; at its autoscaler's minimum; or as its pods are now.
func blocking(budget *policyv1.PodDisruptionBudget, now, least int) []practice.Finding {
	if now == 0 {
		now, least = expectedByStatus(budget), expectedByStatus(budget)
	}
	allowed, path, rule := allowance(budget.Spec, now)
	switch {
	case path == "spec":
		return []practice.Finding{practice.On(budgetRef(budget), path, "%s is set, which allows 0 evictions", rule)}
	case allowed <= 0:
		return []practice.Finding{practice.On(budgetRef(budget), path, "%s of %d wanted pods allows 0 evictions, even when all are healthy", rule, now)}
	}
	if expectedByStatus(budget) > 0 && budget.Status.DisruptionsAllowed == 0 && holdsSome(budget) {
		return []practice.Finding{blockedNow(budget, rule)}
	}
	if allowed, path, rule := allowance(budget.Spec, least); least > 0 && allowed <= 0 {
		return []practice.Finding{practice.On(budgetRef(budget), path,
			"%s allows 0 evictions once autoscaling leaves %d pods, its minimum", rule, least).As(report.Warning)}
	}
	return nil
}

// holdsSome reports whether a budget that allows nothing keeps any pod: under
// AlwaysAllow the unhealthy may go, so that it takes a healthy one.
func holdsSome(budget *policyv1.PodDisruptionBudget) bool {
	return !letsUnhealthyGo(budget) || budget.Status.CurrentHealthy > 0
}

func letsUnhealthyGo(budget *policyv1.PodDisruptionBudget) bool {
	policy := budget.Spec.UnhealthyPodEvictionPolicy
	return policy != nil && *policy == policyv1.AlwaysAllow
}

// allowance is how many of the expected pods may be away when all are healthy.
func allowance(spec policyv1.PodDisruptionBudgetSpec, expected int) (allowed int, path, rule string) {
	switch {
	case spec.MaxUnavailable != nil:
		// A value that does not parse stops the controller, and it allows none.
		allowed, _ = intstr.GetScaledValueFromIntOrPercent(spec.MaxUnavailable, expected, true)
		return allowed, "spec.maxUnavailable", "maxUnavailable " + spec.MaxUnavailable.String()
	case spec.MinAvailable != nil:
		kept, err := intstr.GetScaledValueFromIntOrPercent(spec.MinAvailable, expected, true)
		if err != nil {
			kept = expected
		}
		return expected - kept, "spec.minAvailable", "minAvailable " + spec.MinAvailable.String()
	default:
		return 0, "spec", "neither minAvailable nor maxUnavailable"
	}
}

// blockedNow tells of a budget that would allow some, were its pods healthy.
func blockedNow(budget *policyv1.PodDisruptionBudget, rule string) practice.Finding {
	status := budget.Status
	if c := meta.FindStatusCondition(status.Conditions, policyv1.DisruptionAllowedCondition); c != nil && c.Reason == policyv1.SyncFailedReason {
		return practice.On(budgetRef(budget), "status", "%s allows 0 evictions, since the disruption controller cannot compute it: %s", rule, strings.TrimSpace(c.Message))
	}
	finding := practice.On(budgetRef(budget), "status", "%s allows 0 evictions now: %d of %d pods are healthy, and %d have to be",
		rule, status.CurrentHealthy, status.ExpectedPods, status.DesiredHealthy)
	if status.CurrentHealthy == status.ExpectedPods {
		return finding
	}
	mend := fmt.Sprintf("mend the %s: kubectl get pods -n %s", unhealthy(status.ExpectedPods-status.CurrentHealthy), budget.Namespace)
	if !letsUnhealthyGo(budget) {
		mend += "; unhealthyPodEvictionPolicy: AlwaysAllow lets drains evict unhealthy pods"
	}
	return finding.Mended("%s", mend)
}

func unhealthy(n int32) string {
	if n == 1 {
		return "unhealthy pod"
	}
	return fmt.Sprintf("%d unhealthy pods", n)
}
