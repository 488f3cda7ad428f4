package availability

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ZoneLabelDeprecated finds rules on node labels of the beta days.
//
// failure-domain.beta.kubernetes.io/zone became topology.kubernetes.io/zone in
// Kubernetes 1.17. Nodes that no longer carry the old label turn a rule on it
// into nothing, silently: replicas that were to be spread over zones are not.
// https://kubernetes.io/docs/reference/labels-annotations-taints/
func ZoneLabelDeprecated() practice.Practice {
	return practice.Practice{
		ID:       "zone-label-deprecated",
		Title:    "Placement by a deprecated node label",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "failure-domain.beta.kubernetes.io/zone and its kin were renamed in Kubernetes 1.17. Where nodes no longer carry the old label, a rule on it is dead: " +
			"replicas that were to be spread over zones silently are not, and pods that ask for the label wait for ever.",
		Judged: "nodeSelector, node affinity, the topologyKey of pod affinity and anti-affinity, and topologySpreadConstraints of each workload's template. " +
			"Critical where nodes could be read and none carries the label, unless a like rule on the current label stands beside it; a warning elsewhere.",
		Fix: "use the current label",
		Sources: []string{
			"https://kubernetes.io/docs/reference/labels-annotations-taints/#failure-domainbetakubernetesiozone",
			"https://kubernetes.io/docs/reference/labels-annotations-taints/#beta-kubernetes-io-arch",
		},
		Judges: cluster.WorkloadKinds(),
		Uses:   []cluster.Kind{cluster.Nodes},
		Remedy: &practice.Remedy{
			Does: "writes the current label for every deprecated one in the template's node selector, affinity and topology spread constraints; " +
				"refused where the rule, once alive, could leave pods pending: no node carries the current label with that value, or there are fewer domains than pods that must stand apart",
			Propose: mend.Workload(renameLabels),
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			carried := nodeLabels(s.Nodes)
			nodesKnown := s.WasRead(cluster.Nodes) && len(s.Nodes) > 0
			return practice.EachWorkload(nil, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				var findings []practice.Finding
				rules := placements(w)
				for _, rule := range rules {
					if current, deprecated := currentLabel(rule.label); deprecated {
						dead := nodesKnown && !carried[rule.label] && !rule.doubled(rules, current)
						findings = append(findings, rule.finding(w, current, dead, len(s.Nodes)))
					}
				}
				return findings
			})(s)
		},
	}
}

// currentLabel is what a deprecated node label was renamed to.
func currentLabel(label string) (current string, deprecated bool) {
	switch label {
	case corev1.LabelFailureDomainBetaZone:
		return corev1.LabelTopologyZone, true
	case corev1.LabelFailureDomainBetaRegion:
		return corev1.LabelTopologyRegion, true
	case corev1.LabelInstanceType:
		return corev1.LabelInstanceTypeStable, true
	case "beta.kubernetes.io/os":
		return corev1.LabelOSStable, true
	case "beta.kubernetes.io/arch":
		return corev1.LabelArchStable, true
	}
	return "", false
}

// nodeLabels are the keys that at least one node carries.
func nodeLabels(nodes []*corev1.Node) map[string]bool {
	carried := map[string]bool{}
	for _, node := range nodes {
		for key := range node.Labels {
			carried[key] = true
		}
	}
	return carried
}

// doubled reports whether a rule that does nothing when dead stands beside its
// like on the current label, as manifests for old and new clusters have it.
func (p placement) doubled(rules []placement, current string) bool {
	return p.whenDead == noEffect && slices.ContainsFunc(rules, func(other placement) bool {
		return other.rule == p.rule && other.label == current
	})
}

func (p placement) finding(w *cluster.Workload, current string, dead bool, nodes int) practice.Finding {
	finding := practice.On(w.Owner, w.TemplatePath+"."+p.path, "%s uses the deprecated node label %s", p.rule, p.label)
	if dead {
		finding = finding.As(report.Critical)
		finding.Message += fmt.Sprintf(", which none of %d nodes carries: %s", nodes, p.whenDead)
	}
	return finding.Mended("use %s instead", current)
}
