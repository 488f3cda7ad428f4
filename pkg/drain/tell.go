package drain

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// tell fills the report from what the drain of each node came to.
func (w *world) tell(check *report.DrainCheck, q Question, runs []nodeRun) {
	var victims []*victim
	for _, run := range runs {
		check.Nodes = append(check.Nodes, w.tellNode(run))
		victims = append(victims, run.victims...)
	}
	check.Budgets = w.tellBudgets(victims)
	check.Blockers = w.blockers(q, runs, victims)
	check.Consequences = w.consequences(q, victims)
	check.Placement = w.placement(victims)
	check.Duration = w.duration(runs)
	check.Unknowns = w.unknowns(victims, cluster.Services) // whether one loses its endpoints decides
	for _, v := range victims {
		check.Pods = append(check.Pods, *v.report)
	}
	check.Command = succeeding(q, check)
	check.Verdict, check.Summary = verdict(check)
}

func (w *world) tellNode(run nodeRun) report.DrainNode {
	node := w.s.Node(run.node)
	told := report.DrainNode{
		Name: run.node, Zone: node.Labels[corev1.LabelTopologyZone], Cordoned: node.Spec.Unschedulable, Ready: nodeReady(node), Refused: run.refused,
	}
	for _, v := range run.victims {
		switch v.report.Outcome {
		case report.DrainEvicted:
			told.Evict++
		case report.DrainSkipped:
			told.Skip++
		default:
			told.Block++
		}
	}
	return told
}

func nodeReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// tellBudgets counts the drain's pods by budget.
func (w *world) tellBudgets(victims []*victim) []report.DrainBudget {
	by := map[*budget]*report.DrainBudget{}
	told := []report.DrainBudget{}
	for _, v := range victims {
		if v.filtered.skip || ignoresBudgets(v.pod) {
			continue
		}
		for _, b := range w.budgets.of(v.pod) {
			if by[b] == nil {
				by[b] = &report.DrainBudget{
					Namespace: b.Namespace, Name: b.Name, Rule: b.rule(),
					Healthy: b.Status.CurrentHealthy, Desired: b.Status.DesiredHealthy, Expected: b.Status.ExpectedPods, Allowed: b.Status.DisruptionsAllowed,
				}
			}
			if v.report.Outcome == report.DrainEvicted {
				by[b].Evict++
			} else {
				by[b].Block++
			}
			by[b].Waves = max(by[b].Waves, v.report.Wave)
		}
	}
	for _, budget := range by {
		told = append(told, *budget)
	}
	slices.SortFunc(told, func(a, b report.DrainBudget) int {
		return cmp.Or(cmp.Compare(min(b.Block, 1), min(a.Block, 1)), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return told
}

// verdict is the answer in a word and in a sentence.
func verdict(check *report.DrainCheck) (report.DrainVerdict, string) {
	undecided := 0
	for _, u := range check.Unknowns {
		if u.Decides {
			undecided++
		}
	}
	pods, flags := map[string]bool{}, 0
	for _, b := range check.Blockers {
		if b.Kind == "flag" {
			flags++
			continue
		}
		for _, pod := range b.Pods {
			pods[pod] = true
		}
	}
	evicted := 0
	for _, pod := range check.Pods {
		if pod.Outcome == report.DrainEvicted {
			evicted++
		}
	}
	switch {
	case len(pods) > 0:
		return report.VerdictBlocked, fmt.Sprintf("%s would keep the drain from finishing", count(len(pods), "pod"))
	case undecided > 0:
		return report.VerdictUnknown, "what decides could not be read: " + check.Unknowns[0].Subject
	case flags > 0 && worst(check.Consequences) == report.Critical:
		return report.VerdictBlocked, "kubectl drain would refuse as it was typed; with the flags below it would finish and break something"
	case flags > 0:
		return report.VerdictBlocked, "kubectl drain would refuse as it was typed; with the flags below it would finish"
	case worst(check.Consequences) == report.Critical:
		return report.VerdictBreaks, "the drain would finish, and something would not work afterwards"
	case evicted == 0:
		return report.VerdictSafe, "there is nothing to evict"
	default:
		return report.VerdictSafe, fmt.Sprintf("the drain would finish; replacements that run elsewhere: %d of %d", check.Placement.Placed, check.Placement.Replaced)
	}
}

func worst(all []report.DrainConsequence) report.Severity {
	for _, c := range all {
		if c.Severity == report.Critical {
			return report.Critical
		}
	}
	return ""
}

// succeeding is the drain with the flags that its pods ask for; "" when a pod
// stays that no command of the report moves.
func succeeding(q Question, check *report.DrainCheck) string {
	o := q.Options
	for _, pod := range check.Pods {
		for _, reason := range pod.Reasons {
			switch reason.Flag {
			case "--ignore-daemonsets":
				o.IgnoreDaemonSets = true
			case "--delete-emptydir-data":
				o.DeleteEmptyDirData = true
			case "--force":
				o.Force = true
			}
		}
	}
	for _, b := range check.Blockers {
		if len(b.Fixes) == 0 {
			return ""
		}
		if b.Kind == "terminating" || b.Kind == "unreachable" {
			o.SkipWaitForDelete = max(o.SkipWaitForDelete, 1)
		}
		if b.Kind == "timeout" {
			o.Timeout = 0
		}
	}
	return drainCommand(q, o)
}

// placement sums up where the pods go.
func (w *world) placement(victims []*victim) report.DrainPlacement {
	told := report.DrainPlacement{Nodes: []report.DrainTarget{}}
	on := map[string]int{}
	for _, v := range victims {
		if !v.report.Replaced {
			continue
		}
		told.Replaced++
		switch {
		case v.report.To != "":
			told.Placed++
			on[v.report.To]++
		case v.report.Unknown != "":
			told.Unknown++
		default:
			told.Unplaced++
		}
	}
	for _, v := range w.waiting {
		told.Waiting = append(told.Waiting, report.DrainWaiting{Namespace: v.report.Namespace, Name: v.report.Name, Owner: v.report.Owner, To: v.report.To})
	}
	for name, pods := range on {
		told.Nodes = append(told.Nodes, w.target(name, pods))
	}
	slices.SortFunc(told.Nodes, func(a, b report.DrainTarget) int {
		return cmp.Or(cmp.Compare(b.Pods, a.Pods), cmp.Compare(a.Name, b.Name))
	})
	return told
}

// target tells how full a node is when the drain is over.
func (w *world) target(name string, pods int) report.DrainTarget {
	told := report.DrainTarget{Name: name, Pods: pods}
	node := w.s.Node(name)
	if node == nil {
		return told
	}
	told.Zone = node.Labels[corev1.LabelTopologyZone]
	var cpu, memory int64
	for _, pod := range w.podsOn[name] {
		if !ended(pod) {
			requests := cluster.PodRequests(pod)
			cpu += requests.Cpu().MilliValue()
			memory += requests.Memory().Value()
		}
	}
	told.CPU = percent(cpu, node.Status.Allocatable.Cpu().MilliValue())
	told.Memory = percent(memory, node.Status.Allocatable.Memory().Value())
	return told
}

func percent(part, whole int64) int {
	if whole == 0 {
		return 0
	}
	return int(part * 100 / whole)
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
