package availability

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PDBUnhealthyPolicy finds budgets that keep broken pods on their nodes.
//
// By default a pod that runs but is not ready may be evicted only while the
// budget has enough healthy ones: a crashing deployment stops every drain.
// https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy
func PDBUnhealthyPolicy() practice.Practice {
	return practice.Practice{
		ID:       "pdb-unhealthy-policy",
		Title:    "Disruption budget that protects unhealthy pods",
		Chapter:  practice.Availability,
		Severity: report.Info,
		Reason: "By default a pod that is not ready may be evicted only while enough others are healthy. A workload whose pods all crash then stops every drain, " +
			"for the sake of pods that serve nobody.",
		Judged: "Each PodDisruptionBudget that selects something: unhealthyPodEvictionPolicy should be AlwaysAllow. " +
			"IfHealthyBudget written out is a decision, as for a quorum that needs its members' data, and passes.",
		Fix:     "set spec.unhealthyPodEvictionPolicy: AlwaysAllow",
		Sources: []string{"https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy"},
		Needs:   []cluster.Kind{cluster.Budgets},
		Uses:    cluster.WorkloadKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, budget := range s.Budgets {
				if len(s.Selected(budget.Namespace, budget.Spec.Selector)) == 0 && expectedByStatus(budget) == 0 {
					continue
				}
				v.Judged = append(v.Judged, budgetRef(budget))
				if budget.Spec.UnhealthyPodEvictionPolicy == nil {
					v.Findings = append(v.Findings, practice.On(budgetRef(budget), "spec.unhealthyPodEvictionPolicy", "is not set: pods that are not ready block drains too").
						Mended(`kubectl patch poddisruptionbudget %s -n %s -p '{"spec":{"unhealthyPodEvictionPolicy":"AlwaysAllow"}}'`, budget.Name, budget.Namespace))
				}
			}
			return v
		},
	}
}
