package availability

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PDBSelectsNothing finds budgets that protect nobody.
//
// A budget holds its pods by labels. When they are renamed it stays, looks set
// up, and the next drain takes every replica.
// https://kubernetes.io/docs/tasks/run-application/configure-pdb/
func PDBSelectsNothing() practice.Practice {
	return practice.Practice{
		ID:       "pdb-selects-nothing",
		Title:    "Disruption budget that selects no pod",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason:   "A budget holds its pods by labels. When the labels change it stays and looks set up, and the next drain takes every replica.",
		Judged: "Each PodDisruptionBudget: it must select a workload of its namespace, one scaled to none included, and live the disruption controller must expect no pods either. " +
			"In manifests an info: what it selects may stand in other files.",
		Fix:     "make spec.selector match the labels of the workload's template, or delete the budget",
		Sources: []string{"https://kubernetes.io/docs/tasks/run-application/configure-pdb/#specifying-a-poddisruptionbudget"},
		Needs:   []cluster.Kind{cluster.Budgets, cluster.Pods, cluster.Deployments, cluster.StatefulSets},
		Uses:    []cluster.Kind{cluster.DaemonSets, cluster.ReplicaSets, cluster.Jobs, cluster.CronJobs},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, budget := range s.Budgets {
				v.Judged = append(v.Judged, budgetRef(budget))
				if len(s.Selected(budget.Namespace, budget.Spec.Selector)) > 0 || expectedByStatus(budget) > 0 {
					continue
				}
				if s.Origin.Live {
					v.Findings = append(v.Findings, practice.On(budgetRef(budget), "spec.selector", "selects %s, which none of the %d workloads of namespace %s is",
						words(budget.Spec.Selector), len(s.WorkloadsIn(budget.Namespace)), budget.Namespace))
				} else {
					v.Findings = append(v.Findings, practice.On(budgetRef(budget), "spec.selector", "selects %s, which no workload in these manifests is", words(budget.Spec.Selector)).As(report.Info))
				}
			}
			return v
		},
	}
}
