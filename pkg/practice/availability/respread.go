package availability

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
)

// respread says how to spread pods that are there already.
func respread(w *cluster.Workload) string {
	if w.Owner != w.Self {
		return "spread them in the " + w.Owner.Kind + " and let it restart them"
	}
	restart := "kubectl rollout restart " + w.Self.String() + " -n " + w.Self.Namespace
	if mend.Spreads(w) {
		return restart
	}
	return "add topologySpreadConstraints over zone and hostname, then " + restart
}

// respreads says what a remedy of pods that stand together writes.
func respreads(label string) string {
	return "adds a soft topology spread constraint over " + label + " where there is none, which restarts the pods one by one; where there is one, restarts them as kubectl rollout restart does. " +
		"Refused where the workload's own node selector or affinity, or its volumes, hold the pods together"
}

// restartedAt is the annotation by which kubectl rollout restart changes a
// template (kubectl: pkg/polymorphichelpers/objectrestarter.go).
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// respreadOver has the scheduler place a Workload's pods anew, with a rule that
// keeps them apart by a node label.
func respreadOver(label string) func(*cluster.Snapshot, *cluster.Workload, practice.Finding) practice.Proposal {
	return func(s *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
		at, domains := standingOf(s, w), reachable(s, w, label)
		switch {
		case slices.ContainsFunc(w.Pods, hasClaim):
			return practice.Refuse("its pods mount volumes, and whether these can follow them is not known")
		case len(domains) < 2:
			return practice.Refuse("its node selector and affinity leave it %d of the values of %s: spread those first", len(domains), label)
		case mend.Selector(w) == nil:
			return practice.Refuse("it has no selector of its own for a constraint to use")
		}
		constraints := w.Template.Spec.TopologySpreadConstraints
		var edit change.Edit
		switch {
		case slices.ContainsFunc(constraints, func(c corev1.TopologySpreadConstraint) bool { return c.TopologyKey == label }):
			edit = change.Set(s.Time.UTC().Format(time.RFC3339), append(mend.InTemplate(w)[:len(mend.InTemplate(w))-1], "metadata", "annotations", restartedAt)...)
		case len(constraints) > 0:
			edit = change.Set(mend.Spread(w, []string{label})[0], mend.InTemplate(w, "topologySpreadConstraints",
				change.Item("topologyKey", label, "whenUnsatisfiable", string(corev1.ScheduleAnyway)))...)
		default:
			edit = change.Set(mend.Spread(w, mend.Topologies(s)), mend.InTemplate(w, "topologySpreadConstraints")...)
		}
		return practice.Propose(mend.Edit(w, edit)).
			Because("%d pods on nodes %s; nodes with %d values of %s take them", at.pods, strings.Join(at.nodes, ", "), len(domains), label).
			Risking("the rule is soft: where only one of them has room for the new pods, they stand together again")
	}
}

// reachable are the values of a label over the nodes that take a Workload's
// pods by its node selector and required node affinity, as the scheduler
// matches them.
func reachable(s *cluster.Snapshot, w *cluster.Workload, label string) []string {
	required := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: w.Template.Spec})
	var domains []string
	for _, node := range s.Nodes {
		if fits, err := required.Match(node); err == nil && fits && !node.Spec.Unschedulable && node.Labels[label] != "" {
			domains = append(domains, node.Labels[label])
		}
	}
	return distinct(domains)
}
