package availability

import (
	"strings"

	policyv1 "k8s.io/api/policy/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PDBOverlaps finds pods under more than one budget.
//
// The eviction API refuses pods that two budgets select, whatever they allow:
// "This pod has more than one PodDisruptionBudget, which the eviction
// subresource does not support."
// https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
func PDBOverlaps() practice.Practice {
	return practice.Practice{
		ID:       "pdb-overlaps",
		Title:    "Pods under two disruption budgets",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Reason:   "The eviction API refuses pods that two budgets select, whatever either allows: no drain can move them, and the error names neither budget.",
		Judged:   "Each workload whose template's labels at least two PodDisruptionBudgets of its namespace select.",
		Fix:      "leave one budget for each workload",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/",
			"https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/core/pod/storage/eviction.go",
		},
		Needs:  []cluster.Kind{cluster.Budgets},
		Judges: cluster.WorkloadKinds(),
		Check: practice.EachWorkload(hasBudget, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			if len(w.Budgets) < 2 {
				return nil
			}
			return []practice.Finding{practice.On(w.Owner, "", "%d budgets select its pods (%s), so that none can be evicted", len(w.Budgets), strings.Join(budgetNames(w.Budgets), ", ")).
				Mended("kubectl delete poddisruptionbudget -n %s, all but one of %s", w.Self.Namespace, strings.Join(budgetNames(w.Budgets), ", "))}
		}),
	}
}

func hasBudget(w *cluster.Workload) bool { return len(w.Budgets) > 0 }

func budgetNames(budgets []*policyv1.PodDisruptionBudget) []string {
	names := make([]string, 0, len(budgets))
	for _, b := range budgets {
		names = append(names, b.Name)
	}
	return distinct(names)
}
