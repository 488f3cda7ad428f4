package availability

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
)

// renameLabels writes the current labels into all placement rules of a
// template at once: they are alive or dead together.
func renameLabels(s *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	renamed := w.Template.Spec.DeepCopy()
	var edits []change.Edit
	edits = append(edits, renameSelector(w, renamed)...)
	edits = append(edits, renameAffinity(w, renamed.Affinity)...)
	edits = append(edits, renameConstraints(w, renamed)...)
	if len(edits) == 0 {
		return practice.Refuse("the rule is not where it was found")
	}
	if why := strands(s, w, renamed); why != "" {
		return practice.Refuse("%s", why)
	}
	said := "the labels were renamed in Kubernetes 1.17"
	if len(s.Nodes) > 0 {
		said += fmt.Sprintf("; %d nodes were looked at", len(s.Nodes))
	}
	return practice.Propose(mend.Edit(w, edits...)).Because("%s", said).Risking("a rule that was dead is alive again: the next pods are placed by it")
}

func renameSelector(w *cluster.Workload, spec *corev1.PodSpec) []change.Edit {
	var edits []change.Edit
	for _, old := range slices.Sorted(maps.Keys(spec.NodeSelector)) {
		current, deprecated := currentLabel(old)
		if !deprecated {
			continue
		}
		value := spec.NodeSelector[old]
		delete(spec.NodeSelector, old)
		edits = append(edits, change.Remove(mend.InTemplate(w, "nodeSelector", old)...))
		if _, both := spec.NodeSelector[current]; !both {
			spec.NodeSelector[current] = value
			edits = append(edits, change.Set(value, mend.InTemplate(w, "nodeSelector", current)...))
		}
	}
	return edits
}

// renameAffinity rewrites each list of terms that names a deprecated label, as
// a whole: the API server merges these lists by nothing.
func renameAffinity(w *cluster.Workload, affinity *corev1.Affinity) []change.Edit {
	if affinity == nil {
		return nil
	}
	var edits []change.Edit
	if node := affinity.NodeAffinity; node != nil {
		if required := node.RequiredDuringSchedulingIgnoredDuringExecution; required != nil && renameTerms(required.NodeSelectorTerms) {
			edits = append(edits, change.Set(items(required.NodeSelectorTerms), mend.InTemplate(w, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")...))
		}
		changed := false
		for i := range node.PreferredDuringSchedulingIgnoredDuringExecution {
			preference := []corev1.NodeSelectorTerm{node.PreferredDuringSchedulingIgnoredDuringExecution[i].Preference}
			changed = renameTerms(preference) || changed
		}
		if changed {
			edits = append(edits, change.Set(items(single(node.PreferredDuringSchedulingIgnoredDuringExecution)), mend.InTemplate(w, "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution")...))
		}
	}
	if near := affinity.PodAffinity; near != nil {
		edits = append(edits, renamePodTerms(w, "podAffinity", near.RequiredDuringSchedulingIgnoredDuringExecution, near.PreferredDuringSchedulingIgnoredDuringExecution)...)
	}
	if apart := affinity.PodAntiAffinity; apart != nil {
		edits = append(edits, renamePodTerms(w, "podAntiAffinity", apart.RequiredDuringSchedulingIgnoredDuringExecution, apart.PreferredDuringSchedulingIgnoredDuringExecution)...)
	}
	return edits
}

func renamePodTerms(w *cluster.Workload, field string, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) []change.Edit {
	var edits []change.Edit
	changed := false
	for i := range required {
		changed = renameKey(&required[i].TopologyKey) || changed
	}
	if changed {
		edits = append(edits, change.Set(items(single(required)), mend.InTemplate(w, "affinity", field, "requiredDuringSchedulingIgnoredDuringExecution")...))
	}
	changed = false
	for i := range preferred {
		changed = renameKey(&preferred[i].PodAffinityTerm.TopologyKey) || changed
	}
	if changed {
		edits = append(edits, change.Set(items(single(preferred)), mend.InTemplate(w, "affinity", field, "preferredDuringSchedulingIgnoredDuringExecution")...))
	}
	return edits
}

// renameConstraints replaces constraints one by one: the API server merges them
// by their label and what they do when they cannot be met.
func renameConstraints(w *cluster.Workload, spec *corev1.PodSpec) []change.Edit {
	var edits []change.Edit
	for i := range spec.TopologySpreadConstraints {
		constraint := &spec.TopologySpreadConstraints[i]
		at := func() []any {
			return mend.InTemplate(w, "topologySpreadConstraints", change.Item("topologyKey", constraint.TopologyKey, "whenUnsatisfiable", string(constraint.WhenUnsatisfiable)))
		}
		old, both := at(), false
		if !renameKey(&constraint.TopologyKey) {
			continue
		}
		for j, other := range spec.TopologySpreadConstraints {
			both = both || (i != j && other.TopologyKey == constraint.TopologyKey && other.WhenUnsatisfiable == constraint.WhenUnsatisfiable)
		}
		edits = append(edits, change.Remove(old...))
		if !both {
			edits = append(edits, change.Set(mend.AsMap(constraint), at()...))
		}
	}
	return edits
}

func renameTerms(terms []corev1.NodeSelectorTerm) bool {
	changed := false
	for _, term := range terms {
		for i := range term.MatchExpressions {
			changed = renameKey(&term.MatchExpressions[i].Key) || changed
		}
	}
	return changed
}

func renameKey(key *string) bool {
	current, deprecated := currentLabel(*key)
	if deprecated {
		*key = current
	}
	return deprecated
}

// single leaves out what now stands there twice, as manifests for old and new
// clusters have it.
func single[T any](all []T) []T {
	return slices.CompactFunc(slices.Clone(all), func(a, b T) bool { return equality.Semantic.DeepEqual(a, b) })
}

// items are API types as the items of an object's list.
func items[T any](typed []T) []any {
	list := make([]any, 0, len(typed))
	for i := range typed {
		list = append(list, mend.AsMap(&typed[i]))
	}
	return list
}

// strands says why pods may be left pending once rules that were dead are
// alive; "" when none is, as far as the nodes are known.
func strands(s *cluster.Snapshot, w *cluster.Workload, renamed *corev1.PodSpec) string {
	if !s.WasRead(cluster.Nodes) || len(s.Nodes) == 0 {
		return ""
	}
	required := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: *renamed})
	var fitting []*corev1.Node
	for _, node := range s.Nodes {
		if fits, err := required.Match(node); err == nil && fits {
			fitting = append(fitting, node)
		}
	}
	if len(fitting) == 0 {
		return fmt.Sprintf("none of %d nodes has the current label with the value that the rule asks for: correct the value first", len(s.Nodes))
	}
	domains := func(key string) int {
		values := map[string]bool{}
		for _, node := range fitting {
			if value := node.Labels[key]; value != "" {
				values[value] = true
			}
		}
		return len(values)
	}
	woken := map[string]bool{}
	for _, rule := range placements(w) {
		if current, deprecated := currentLabel(rule.label); deprecated {
			woken[current] = true
		}
	}
	for _, rule := range placements(&cluster.Workload{Template: &corev1.PodTemplateSpec{Spec: *renamed}}) {
		if !woken[rule.label] {
			continue
		}
		if rule.whenDead != neverScheduled && rule.whenDead != notApart || domains(rule.label) > 0 && rule.whenDead == neverScheduled {
			continue
		}
		if n := domains(rule.label); rule.whenDead == notApart && w.HasReplicas() && n > 0 && n >= int(wanted(w)) {
			continue
		}
		return fmt.Sprintf("%s over %s has %d domains here: pods that it must keep apart, or that need it, would stay pending", rule.rule, rule.label, domains(rule.label))
	}
	return ""
}
