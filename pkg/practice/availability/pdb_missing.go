package availability

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PDBMissing finds replicas that a drain may take all at once.
//
// A drain evicts every pod of its node as fast as budgets allow. Without one,
// two replicas on one node, or on two nodes drained together, go at once.
// https://kubernetes.io/docs/tasks/run-application/configure-pdb/
func PDBMissing() practice.Practice {
	return practice.Practice{
		ID:       "pdb-missing",
		Title:    "Replicas without a disruption budget",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "A drain evicts every pod of its node as fast as budgets allow. Without a budget, replicas that share a node, " +
			"or whose nodes are drained together by an upgrade or an autoscaler, go at once.",
		Judged: "Deployments and StatefulSets that want at least 2 pods: a PodDisruptionBudget of their own namespace must select the labels of their template.",
		Fix:    "create a PodDisruptionBudget with maxUnavailable: 1",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/run-application/configure-pdb/",
			"https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-budgets",
		},
		Needs:  []cluster.Kind{cluster.Budgets},
		Judges: []cluster.Kind{cluster.Deployments, cluster.StatefulSets},
		Uses:   []cluster.Kind{cluster.Autoscalers},
		Remedy: &practice.Remedy{
			Does: "creates a PodDisruptionBudget named after the workload, with its selector, maxUnavailable: 1 and unhealthyPodEvictionPolicy: AlwaysAllow; " +
				"refused where the selector matches other workloads' pods too",
			Propose: mend.Workload(createBudget),
		},
		Check: practice.EachWorkload(runsSeveral, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			if len(w.Budgets) > 0 {
				return nil
			}
			finding := practice.On(w.Owner, "", "%d replicas, and no PodDisruptionBudget keeps a drain from evicting them all at once", wanted(w))
			if selector := w.Selector; selector != nil && len(selector.MatchExpressions) == 0 && w.Owner == w.Self {
				finding = finding.Mended("kubectl create poddisruptionbudget %s -n %s --selector=%s --max-unavailable=1",
					w.Self.Name, w.Self.Namespace, metav1.FormatLabelSelector(selector))
			}
			return []practice.Finding{finding}
		}),
	}
}

func createBudget(s *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	if len(w.Budgets) > 0 {
		return practice.Refuse("PodDisruptionBudget %s selects it already", w.Budgets[0].Name)
	}
	budget, why := mend.Budget(s, w)
	if why != "" {
		return practice.Refuse("%s", why)
	}
	return practice.Propose(budget).Because("of %d pods a drain may then take one at a time, and any that is not ready", wanted(w))
}
