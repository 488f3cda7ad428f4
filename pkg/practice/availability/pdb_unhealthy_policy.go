package availability

import (
	"slices"

	policyv1 "k8s.io/api/policy/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
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
		Remedy: &practice.Remedy{
			Does:    "sets spec.unhealthyPodEvictionPolicy: AlwaysAllow; refused where a controller keeps the budget, or it guards a StatefulSet, whose members may be needed though they are not ready",
			Propose: letUnhealthyGo,
		},
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

func letUnhealthyGo(s *cluster.Snapshot, f practice.Finding) practice.Proposal {
	at := slices.IndexFunc(s.Budgets, func(b *policyv1.PodDisruptionBudget) bool { return budgetRef(b) == f.Object })
	if at < 0 {
		return practice.Refuse("the budget is not among what was read")
	}
	budget := s.Budgets[at]
	if owner := mend.IsMadeByController(budget); owner != "" {
		return practice.Refuse("%s makes it, and would undo the change: change it there", owner)
	}
	if mend.Before(s, "1.27") {
		return practice.Refuse("Kubernetes %s does not know the field: it came with 1.27", s.Origin.Version)
	}
	selected := s.Selected(budget.Namespace, budget.Spec.Selector)
	for _, w := range selected {
		if w.Self.Kind == "StatefulSet" {
			return practice.Refuse("it guards %s: a member that is not ready may hold the only copy of its data; decide between AlwaysAllow and IfHealthyBudget", w.Self)
		}
	}
	return practice.Propose(change.Change{Object: f.Object, Edits: []change.Edit{
		change.Set(string(policyv1.AlwaysAllow), "spec", "unhealthyPodEvictionPolicy"),
	}}).Because("its pods (%s) keep no state of their own", mend.Names(selected))
}
