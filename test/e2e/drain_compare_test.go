//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// comparison holds what was predicted against what came: of each workload and
// node, how many pods went; of each workload, how many have no node. Within a
// workload nobody can tell which of its pods goes first.
type comparison struct {
	w             *world
	check         *report.DrainCheck
	before, after state
	drained       result

	apps map[string]string // by the pod's name
	// guarded are workloads under a budget. Of the doubtful ones, a budget waits
	// for the replacement of an unready pod, of which nobody can tell whether it
	// gets ready. ordered is true when drain-check itself says that placement
	// depends on the order of scheduling.
	guarded, doubtful map[string]bool
	// joint is the budget of workloads that share it with others.
	joint             map[string]string
	ordered, preempts bool

	differences, unknowable []string
	counts                  map[string]int
}

// group are pods that are alike.
type group struct{ app, node string }

func newComparison(w *world, check *report.DrainCheck, before, after state, drained result) *comparison {
	c := &comparison{w: w, check: check, before: before, after: after, drained: drained,
		apps: map[string]string{}, guarded: map[string]bool{}, doubtful: map[string]bool{}, joint: map[string]string{}, counts: map[string]int{}}
	for i := range before.pods {
		c.apps[before.pods[i].Name] = appOf(&before.pods[i])
	}
	for i := range before.budgets {
		c.doubt(&before.budgets[i])
	}
	c.ordered = slices.ContainsFunc(check.Pods, func(p report.DrainPod) bool { return p.DependsOnOrder })
	c.preempts = slices.ContainsFunc(check.Consequences, func(c report.DrainConsequence) bool { return c.Kind == "preemption" })
	c.counts["verdict "+string(check.Verdict)]++
	for _, b := range check.Blockers {
		c.counts["blockers of kind "+b.Kind]++
	}
	different := c.evictions()
	if refused := c.refused(); !different && len(refused) == 0 {
		c.placement()
	}
	if blocked := len(check.Blockers) > 0; !different && blocked != (drained.code != 0) {
		c.differences = append(c.differences, fmt.Sprintf("kubectl drain ended with %d, predicted blocked: %t", drained.code, blocked))
	}
	if len(c.unknowable) > 0 {
		c.counts["clusters with something unknowable"]++
	}
	return c
}

// appOf groups pods that are alike: those of one workload.
func appOf(pod *corev1.Pod) string { return pod.Labels["app"] }

// doubt notes the workloads under a budget.
func (c *comparison) doubt(budget *policyv1.PodDisruptionBudget) {
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil {
		return
	}
	unready := false
	var under []string
	for i := range c.before.pods {
		if pod := &c.before.pods[i]; selector.Matches(labels.Set(pod.Labels)) {
			under = append(under, appOf(pod))
			unready = unready || pod.Status.Phase == corev1.PodRunning && !podReady(pod)
		}
	}
	for _, app := range under {
		c.guarded[app] = true
		c.doubtful[app] = c.doubtful[app] || unready
		c.joint[app] = budget.Name
	}
}

// refused are the nodes from which kubectl evicts nothing.
func (c *comparison) refused() []string {
	var names []string
	for _, node := range c.check.Nodes {
		if node.Refused {
			names = append(names, node.Name)
		}
	}
	return names
}

// evictions compares which pods went; it reports whether anything was different,
// be it unknowable.
func (c *comparison) evictions() (different bool) {
	predicted, gone := map[group]int{}, map[group]int{}
	refused := c.refused()
	for _, pod := range c.check.Pods {
		if pod.Outcome == report.DrainEvicted && !slices.Contains(refused, pod.Node) {
			predicted[group{c.apps[pod.Name], pod.Node}]++
		}
	}
	left := map[types.UID]bool{}
	for i := range c.after.pods {
		left[c.after.pods[i].UID] = true
	}
	var groups []group
	for i := range c.before.pods {
		pod := &c.before.pods[i]
		g := group{appOf(pod), pod.Spec.NodeName}
		if !slices.Contains(c.w.drain, g.node) {
			continue
		}
		if c.counts["pods on drained nodes"]++; !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
		if !left[pod.UID] {
			gone[g]++
		}
	}
	for _, g := range groups {
		c.counts["workloads on drained nodes"]++
		c.counts["pods evicted"] += gone[g]
		c.counts["pods predicted to be evicted"] += predicted[g]
		text := fmt.Sprintf("%s on %s: %d evicted, predicted %d", g.app, g.node, gone[g], predicted[g])
		switch {
		case predicted[g] == gone[g]:
			c.counts["workloads on drained nodes that agree"]++
			continue
		case c.guarded[g.app] && c.together(g, predicted) == c.together(g, gone):
			c.unknown("which of the pods under one budget goes first", text)
		case c.doubtful[g.app] && gone[g] > predicted[g]:
			c.unknown("whether an unready pod's replacement gets ready", text)
		case c.guarded[g.app] && c.ordered:
			c.unknown("the order of scheduling", text)
		case c.guarded[g.app] && c.preempts:
			c.unknown("which pods are preempted, and when", text)
		default:
			c.differences = append(c.differences, text)
		}
		different = true
	}
	return different
}

// together counts the pods of a node under the budget of a group.
func (c *comparison) together(g group, counts map[group]int) int {
	n := 0
	for other, count := range counts {
		if other.node == g.node && c.joint[other.app] == c.joint[g.app] {
			n += count
		}
	}
	return n
}

func (c *comparison) unknown(why, text string) {
	c.unknowable = append(c.unknowable, text+" ("+why+")")
	c.counts["unknowable: "+why]++
}

// placement compares how many pods of each workload have no node.
func (c *comparison) placement() {
	predicted, pending := map[string]int{}, map[string]int{}
	for _, pod := range c.check.Pods {
		if pod.Unplaced != "" {
			predicted[c.apps[pod.Name]]++
		}
	}
	for _, pod := range c.check.Placement.Waiting {
		if pod.Namespace == c.w.name && pod.To == "" {
			predicted[c.apps[pod.Name]]++
		}
	}
	var names []string
	for i := range c.after.pods {
		if app := appOf(&c.after.pods[i]); !slices.Contains(names, app) {
			names = append(names, app)
		}
		if c.after.pods[i].Spec.NodeName == "" {
			pending[appOf(&c.after.pods[i])]++
		}
	}
	for _, app := range names {
		c.counts["workloads placed"]++
		c.counts["pods left without a node"] += pending[app]
		c.counts["pods predicted to have none"] += predicted[app]
		text := fmt.Sprintf("%s: %d pods without a node, predicted %d", app, pending[app], predicted[app])
		switch {
		case predicted[app] == pending[app]:
			c.counts["workloads placed that agree"]++
		case c.ordered:
			c.unknown("the order of scheduling", text)
		case c.preempts:
			c.unknown("which pods are preempted, and when", text)
		default:
			c.differences = append(c.differences, text)
		}
	}
}

// line is the world in one line.
func (c *comparison) line(took time.Duration) string {
	text := fmt.Sprintf("%s; evicted %d (predicted %d) of %d; without a node %d (predicted %d); kubectl drain %d; workloads that agree %d of %d and %d of %d; %s",
		c.check.Verdict, c.counts["pods evicted"], c.counts["pods predicted to be evicted"], c.counts["pods on drained nodes"],
		c.counts["pods left without a node"], c.counts["pods predicted to have none"], c.drained.code,
		c.counts["workloads on drained nodes that agree"], c.counts["workloads on drained nodes"],
		c.counts["workloads placed that agree"], c.counts["workloads placed"], took.Round(time.Second))
	for _, u := range c.unknowable {
		text += "\n      unknowable: " + u
	}
	return text
}

// prediction is a check for the reader of a failed test.
func prediction(check *report.DrainCheck) string {
	var b strings.Builder
	for _, p := range check.Pods {
		fmt.Fprintf(&b, "  %s on %s: %s in wave %d to %q %q %v preempts %v\n", p.Name, p.Node, p.Outcome, p.Wave, p.To, p.Unplaced, p.Reasons, p.Preempts)
	}
	for _, p := range check.Placement.Waiting {
		fmt.Fprintf(&b, "  %s/%s waits, to %q\n", p.Namespace, p.Name, p.To)
	}
	for _, budget := range check.Budgets {
		fmt.Fprintf(&b, "  %+v\n", budget)
	}
	return b.String()
}

// counted are the budgets of a state for the reader of a failed test.
func (s state) counted() string {
	var b strings.Builder
	for i := range s.budgets {
		budget := &s.budgets[i]
		status := budget.Status
		fmt.Fprintf(&b, "  %s %v generation %d of %d, healthy %d of %d, desired %d, allows %d, %d disrupted\n", budget.Name, budget.Labels, status.ObservedGeneration, budget.Generation,
			status.CurrentHealthy, status.ExpectedPods, status.DesiredHealthy, status.DisruptionsAllowed, len(status.DisruptedPods))
	}
	return b.String()
}
