package availability

import (
	"fmt"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// SingleReplica finds services that one pod carries.
//
// A pod goes with its node, with each drain and with each eviction; until the
// next one is pulled, started and ready, its service answers nobody.
// https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
func SingleReplica() practice.Practice {
	return practice.Practice{
		ID:       "single-replica",
		Title:    "Served workload with one replica",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "A pod goes with its node, with each drain and with each eviction. Until the next one is pulled, started and ready, " +
			"a service with one replica answers nobody.",
		Judged: "Deployments and StatefulSets behind a Service that want exactly one pod. " +
			"Exempt is what something scales: hpa-min-one judges an autoscaler's minimum, and KEDA and Knative may go to none on purpose.",
		Fix: "run at least 2 replicas",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#dealing-with-disruptions",
			"https://kubernetes.io/docs/concepts/configuration/overview/",
		},
		Needs:  []cluster.Kind{cluster.Services},
		Judges: []cluster.Kind{cluster.Deployments, cluster.StatefulSets},
		Uses:   []cluster.Kind{cluster.Autoscalers, cluster.ScaledObjects},
		Remedy: &practice.Remedy{
			Does: "sets spec.replicas: 2 on a Deployment, with a topology spread and a PodDisruptionBudget where it has none; refused for StatefulSets, " +
				"and where a volume claim, the strategy Recreate or a host port speaks against a second pod",
			Uses:    []cluster.Kind{cluster.Budgets, cluster.Nodes},
			LeadsTo: []string{"hpa-missing"},
			Propose: mend.Workload(runTwo),
		},
		Check: practice.EachWorkload(servesWithCount, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			if *w.Replicas > 1 {
				return nil
			}
			return []practice.Finding{practice.On(w.Owner, "spec.replicas", "1 replica carries Service %s", w.Services[0].Name).Mended("%s", scaleUp(w))}
		}),
	}
}

// servesWithCount leaves out workloads at zero, which serve nobody by choice,
// and those whose count something else chooses.
func servesWithCount(w *cluster.Workload) bool {
	return w.HasReplicas() && *w.Replicas > 0 && w.IsServed() && w.Scaler == ""
}

// scaleUp says how to get a second replica; one of a StatefulSet is not made
// by raising its count alone.
func scaleUp(w *cluster.Workload) string {
	if w.Self.Kind == "Deployment" && w.Owner == w.Self {
		return fmt.Sprintf("kubectl scale deployment %s -n %s --replicas=2", w.Self.Name, w.Self.Namespace)
	}
	return "run at least 2 replicas, with the application's own replication where it keeps state"
}

// runTwo adds a second pod, with what two pods need to be worth more than one.
func runTwo(s *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	edits, budget, why := mend.Standing(s, w)
	if why != "" {
		return practice.Refuse("%s", why)
	}
	edits = append([]change.Edit{change.Set(int64(2), "spec", "replicas")}, edits...)
	return practice.Propose(append([]change.Change{mend.Edit(w, edits...)}, budget...)...).
		Because("1 pod carries Service %s; of 2 one is left when a node or a drain takes the other", w.Services[0].Name).
		Risking("a program that must run alone, such as a scheduler without leader election, then does its work twice")
}
