package availability

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// placement is one rule of a pod template that places pods by a node label.
type placement struct {
	path  string // from the pod spec
	rule  string // what the rule is called
	label string
	// whenDead says what becomes of the rule when no node carries the label
	// (kubernetes: pkg/scheduler/framework/plugins nodeaffinity,
	// interpodaffinity and podtopologyspread).
	whenDead string
}

const (
	neverScheduled = "its pods cannot be scheduled"
	noEffect       = "the rule has no effect"
	notApart       = "nothing keeps its pods apart"
	matchesNothing = "this of its alternatives matches no node"
	excludesNone   = "it excludes no node"
)

// placements are all such rules of a Workload's template.
func placements(w *cluster.Workload) []placement {
	spec := &w.Template.Spec
	var all []placement
	for _, label := range slices.Sorted(maps.Keys(spec.NodeSelector)) {
		all = append(all, placement{fmt.Sprintf("nodeSelector[%s]", label), "nodeSelector", label, neverScheduled})
	}
	for i, c := range spec.TopologySpreadConstraints {
		whenDead := noEffect
		if c.WhenUnsatisfiable == corev1.DoNotSchedule {
			whenDead = neverScheduled
		}
		all = append(all, placement{fmt.Sprintf("topologySpreadConstraints[%d].topologyKey", i), "a topology spread constraint", c.TopologyKey, whenDead})
	}
	if affinity := spec.Affinity; affinity != nil {
		all = append(all, nodeAffinity(affinity.NodeAffinity)...)
		if near := affinity.PodAffinity; near != nil {
			all = append(all, podTerms("affinity.podAffinity", "pod affinity", neverScheduled,
				near.RequiredDuringSchedulingIgnoredDuringExecution, near.PreferredDuringSchedulingIgnoredDuringExecution)...)
		}
		if apart := affinity.PodAntiAffinity; apart != nil {
			all = append(all, podTerms("affinity.podAntiAffinity", "pod anti-affinity", notApart,
				apart.RequiredDuringSchedulingIgnoredDuringExecution, apart.PreferredDuringSchedulingIgnoredDuringExecution)...)
		}
	}
	return all
}

func nodeAffinity(affinity *corev1.NodeAffinity) []placement {
	if affinity == nil {
		return nil
	}
	var all []placement
	if required := affinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
		whenDead := neverScheduled
		if len(required.NodeSelectorTerms) > 1 { // any one of them suffices
			whenDead = matchesNothing
		}
		for i, term := range required.NodeSelectorTerms {
			path := fmt.Sprintf("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[%d]", i)
			all = append(all, nodeTerm(path, term, whenDead)...)
		}
	}
	for i, weighted := range affinity.PreferredDuringSchedulingIgnoredDuringExecution {
		path := fmt.Sprintf("affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[%d].preference", i)
		all = append(all, nodeTerm(path, weighted.Preference, noEffect)...)
	}
	return all
}

// nodeTerm are a term's expressions; one that a missing label satisfies
// excludes nothing when it is dead.
func nodeTerm(path string, term corev1.NodeSelectorTerm, whenDead string) []placement {
	var all []placement
	for i, e := range term.MatchExpressions {
		consequence := whenDead
		if e.Operator == corev1.NodeSelectorOpNotIn || e.Operator == corev1.NodeSelectorOpDoesNotExist {
			consequence = excludesNone
		}
		all = append(all, placement{fmt.Sprintf("%s.matchExpressions[%d].key", path, i), "node affinity", e.Key, consequence})
	}
	return all
}

// podTerms are the topology keys of pod affinity or anti-affinity. A preferred
// term without its label does nothing; of a required one, each caller knows.
func podTerms(path, rule, whenRequired string, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) []placement {
	var all []placement
	for i, term := range required {
		all = append(all, placement{fmt.Sprintf("%s.requiredDuringSchedulingIgnoredDuringExecution[%d].topologyKey", path, i), rule, term.TopologyKey, whenRequired})
	}
	for i, weighted := range preferred {
		all = append(all, placement{
			fmt.Sprintf("%s.preferredDuringSchedulingIgnoredDuringExecution[%d].podAffinityTerm.topologyKey", path, i),
			rule, weighted.PodAffinityTerm.TopologyKey, noEffect,
		})
	}
	return all
}
