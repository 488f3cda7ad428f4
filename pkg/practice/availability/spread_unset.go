package availability

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
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
		Check: practice.EachWorkload(runsSeveral, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			if spreads(w) {
				return nil
			}
			return []practice.Finding{practice.On(w.Owner, w.TemplatePath+".topologySpreadConstraints",
				"%d replicas, and neither topologySpreadConstraints nor podAntiAffinity keeps them apart", wanted(w))}
		}),
	}
}

func spreads(w *cluster.Workload) bool {
	spec := w.Template.Spec
	if len(spec.TopologySpreadConstraints) > 0 {
		return true
	}
	if spec.Affinity == nil || spec.Affinity.PodAntiAffinity == nil {
		return false
	}
	apart := spec.Affinity.PodAntiAffinity
	return len(apart.RequiredDuringSchedulingIgnoredDuringExecution)+len(apart.PreferredDuringSchedulingIgnoredDuringExecution) > 0
}
