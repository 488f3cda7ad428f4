package availability

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// SpreadUnset finds replicas that may all stand on one node.
//
// The scheduler puts pods where they fit best, and without a rule prefers
// spreading only mildly: it tolerates three more replicas on one node than on
// another, and five more in one zone. Replicas that go down together are one.
// https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
func SpreadUnset() practice.Practice {
	return practice.Practice{
		ID:       "spread-unset",
		Title:    "Replicas without a rule that spreads them",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "Without a rule the scheduler prefers spreading only mildly: it tolerates three more replicas on one node than on another, and five more in one zone. " +
			"Replicas that go down together are as good as one.",
		Judged: "Deployments and StatefulSets that want at least 2 pods: their template must have topologySpreadConstraints or podAntiAffinity, required or preferred.",
		Fix:    "add topologySpreadConstraints over topology.kubernetes.io/zone and kubernetes.io/hostname, maxSkew 1",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/",
			"https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#internal-default-constraints",
		},
		Judges: []cluster.Kind{cluster.Deployments, cluster.StatefulSets},
		Uses:   []cluster.Kind{cluster.Autoscalers},
		Remedy: &practice.Remedy{
			Does: "adds topologySpreadConstraints over zone and node with maxSkew: 1 and whenUnsatisfiable: ScheduleAnyway, which keeps no pod from being placed; " +
				"live, over those of the two labels that nodes carry",
			Uses:    []cluster.Kind{cluster.Nodes},
			Propose: mend.Workload(spread),
		},
		Check: practice.EachWorkload(runsSeveral, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			if mend.Spreads(w) {
				return nil
			}
			return []practice.Finding{practice.On(w.Owner, w.TemplatePath+".topologySpreadConstraints",
				"%d replicas, and neither topologySpreadConstraints nor podAntiAffinity keeps them apart", wanted(w))}
		}),
	}
}

func spread(s *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	over := mend.Topologies(s)
	switch {
	case mend.Selector(w) == nil:
		return practice.Refuse("it has no selector of its own for a constraint to use")
	case len(over) == 0:
		return practice.Refuse("no node carries %s or %s: there is nothing to spread over", corev1.LabelTopologyZone, corev1.LabelHostname)
	}
	return practice.Propose(mend.Edit(w, change.Set(mend.Spread(w, over), mend.InTemplate(w, "topologySpreadConstraints")...))).
		Because("%d pods, kept apart by %s as far as there is room", wanted(w), strings.Join(over, " and "))
}
