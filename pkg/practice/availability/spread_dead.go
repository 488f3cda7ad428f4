package availability

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// SpreadDead finds rules that are to spread pods and match nothing.
//
// A constraint copied from another workload selects that workload's pods; one
// over a label that no node carries sees no domains. Both look like safety.
// https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
func SpreadDead() practice.Practice {
	return practice.Practice{
		ID:       "spread-dead",
		Title:    "Spread or affinity rule that matches nothing",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "A constraint copied from another workload still selects that workload's pods, and one over a label that no node carries sees no domains. " +
			"Both look like safety in review and spread nothing.",
		Judged: "Each workload's topology spread constraints: their selector must match the template's own labels. Its pod affinity and anti-affinity within the own namespace: " +
			"the selector must match some workload there, its own included. Live, each topologyKey must be a label of some node; " +
			"critical where pods cannot be scheduled without it, info where another rule still spreads them. Deprecated labels are zone-label-deprecated's.",
		Fix: "select the template's own labels, and a label that the nodes carry",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#topologyspreadconstraints-field",
			"https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity",
		},
		Judges: cluster.WorkloadKinds(),
		Uses:   []cluster.Kind{cluster.Nodes},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			carried := nodeLabels(s.Nodes)
			nodesKnown := s.WasRead(cluster.Nodes) && len(s.Nodes) > 0
			return practice.EachWorkload(placesPods, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				findings := deadSelectors(s, w)
				if nodesKnown {
					findings = append(findings, deadKeys(w, carried, len(s.Nodes))...)
				}
				return findings
			})(s)
		},
	}
}

func placesPods(w *cluster.Workload) bool {
	affinity := w.Template.Spec.Affinity
	return len(w.Template.Spec.TopologySpreadConstraints) > 0 || (affinity != nil && (affinity.PodAffinity != nil || affinity.PodAntiAffinity != nil))
}

func deadSelectors(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
	var findings []practice.Finding
	for i, c := range w.Template.Spec.TopologySpreadConstraints {
		if !selects(c.LabelSelector, w.Template.Labels) {
			findings = append(findings, practice.On(w.Owner, fmt.Sprintf("%s.topologySpreadConstraints[%d].labelSelector", w.TemplatePath, i),
				"a topology spread constraint over %s selects %s, which its own pods are not: it does not spread them", c.TopologyKey, words(c.LabelSelector)))
		}
	}
	for _, t := range podAffinityTerms(&w.Template.Spec) {
		elsewhere := len(t.term.Namespaces) > 0 || t.term.NamespaceSelector != nil
		if !elsewhere && len(s.Selected(w.Self.Namespace, t.term.LabelSelector)) == 0 {
			findings = append(findings, practice.On(w.Owner, w.TemplatePath+"."+t.path+".labelSelector",
				"%s selects %s, which no workload of namespace %s is", t.rule, words(t.term.LabelSelector), w.Self.Namespace))
		}
	}
	return findings
}

// selects reports whether a selector matches labels; nil selects nothing.
func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(set))
}

// words spells a selector; nil and an empty one are told apart by their effect.
func words(selector *metav1.LabelSelector) string {
	if selector == nil {
		return "nothing"
	}
	return metav1.FormatLabelSelector(selector)
}

// affinityTerm is one term of pod affinity or anti-affinity.
type affinityTerm struct {
	path, rule string
	term       corev1.PodAffinityTerm
}

func podAffinityTerms(spec *corev1.PodSpec) []affinityTerm {
	var all []affinityTerm
	if spec.Affinity == nil {
		return nil
	}
	add := func(path, rule string, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i, term := range required {
			all = append(all, affinityTerm{fmt.Sprintf("affinity.%s.requiredDuringSchedulingIgnoredDuringExecution[%d]", path, i), rule, term})
		}
		for i, weighted := range preferred {
			all = append(all, affinityTerm{fmt.Sprintf("affinity.%s.preferredDuringSchedulingIgnoredDuringExecution[%d].podAffinityTerm", path, i), rule, weighted.PodAffinityTerm})
		}
	}
	if near := spec.Affinity.PodAffinity; near != nil {
		add("podAffinity", "pod affinity", near.RequiredDuringSchedulingIgnoredDuringExecution, near.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if apart := spec.Affinity.PodAntiAffinity; apart != nil {
		add("podAntiAffinity", "pod anti-affinity", apart.RequiredDuringSchedulingIgnoredDuringExecution, apart.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return all
}

// deadKeys finds topology keys that no node carries.
func deadKeys(w *cluster.Workload, carried map[string]bool, nodes int) []practice.Finding {
	var dead []placement
	alive := false
	for _, rule := range placements(w) {
		_, deprecated := currentLabel(rule.label)
		switch {
		case !strings.HasSuffix(rule.path, "topologyKey"):
		case carried[rule.label]:
			alive = true
		case !deprecated:
			dead = append(dead, rule)
		}
	}
	var findings []practice.Finding
	for _, rule := range dead {
		finding := practice.On(w.Owner, w.TemplatePath+"."+rule.path, "%s is over the label %s, which none of %d nodes carries: %s", rule.rule, rule.label, nodes, rule.whenDead)
		switch {
		case rule.whenDead == neverScheduled:
			finding = finding.As(report.Critical)
		case alive:
			finding = finding.As(report.Info)
		}
		findings = append(findings, finding)
	}
	return findings
}
