package drain

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// atOnceShare bounds a step to a tenth of the fleet: what can be drained at once
// on paper leaves nothing for the failure of the day.
const atOnceShare = 10

// Plan finds the order in which the nodes of a Question can be drained, and how
// many of them at the same time. The nodes of a step are in one zone, wait for
// each other's budgets a few times at most, take no workload's last ready pod,
// and their pods find room together; they are back, and empty, before the next
// step. Budgets and placements are evaluated
// again after each. Nothing is random: the same input gives the same plan.
func Plan(ctx context.Context, s *cluster.Snapshot, q Question) (*report.DrainCheck, error) {
	w, err := newWorld(ctx, s, q, true)
	if err != nil {
		return nil, err
	}
	w.planning = true
	p := &planner{world: w, most: max(1, len(q.Nodes)/atOnceShare), plan: &report.DrainPlan{Steps: []report.DrainStep{}, Stuck: []report.DrainStuck{}}}
	left := p.order(q.Nodes)
	for len(left) > 0 && ctx.Err() == nil {
		left = p.step(ctx, left)
	}
	check := newReport(s, q)
	w.tellPlan(check, q, p)
	return check, nil
}

// planner carries the making of a plan.
type planner struct {
	*world
	plan  *report.DrainPlan
	most  int       // nodes of a step
	runs  []nodeRun // of nodes that were drained
	stuck []nodeRun
}

// order puts nodes of a zone together, the control plane last, and within that
// the fullest first, so that few pods move twice.
func (p *planner) order(nodes []string) []string {
	ordered := slices.Clone(nodes)
	rank := func(name string) int {
		_, plane := p.s.Node(name).Labels["node-role.kubernetes.io/control-plane"]
		return boolRank(plane)
	}
	zone := func(name string) string { return p.s.Node(name).Labels[corev1.LabelTopologyZone] }
	slices.SortFunc(ordered, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(zone(a), zone(b)),
			cmp.Compare(len(p.podsOn[b]), len(p.podsOn[a])), cmp.Compare(a, b))
	})
	return ordered
}

// stepping is a step in the making.
type stepping struct {
	report.DrainStep
	zone string
	// wanted counts by budget the pods that go, allowed what it allowed at the
	// beginning.
	wanted  map[*budget]int32
	allowed map[*budget]int32
	leaving map[*cluster.Workload]int
}

// step drains the first node that can be, and with it all of its zone that can
// be at the same time; it returns what is left for later steps.
func (p *planner) step(ctx context.Context, left []string) []string {
	step := &stepping{wanted: map[*budget]int32{}, allowed: map[*budget]int32{}, leaving: map[*cluster.Workload]int{}}
	limits := map[string]int{}
	var later []string
	full := false
	for _, name := range left {
		zone := p.s.Node(name).Labels[corev1.LabelTopologyZone]
		if full = full || len(step.Nodes) == p.most; full || len(step.Nodes) > 0 && zone != step.zone {
			later = append(later, name)
			continue
		}
		if waits := p.contends(step, name); waits != "" && len(step.Nodes) > 0 {
			limits[waits]++
			later = append(later, name)
			continue
		}
		run, why := p.try(ctx, name)
		switch {
		case why != "" && len(step.Nodes) > 0:
			limits[why]++
			full = true
			later = append(later, name)
		case why != "":
			p.stuck = append(p.stuck, run)
			p.plan.Stuck = append(p.plan.Stuck, report.DrainStuck{Node: name, Reason: why})
		default:
			step.zone = zone
			p.join(step, run)
		}
	}
	if len(step.Nodes) > 0 {
		p.finish(step, limits, full)
	}
	return later
}

// finish ends a step: its nodes are back.
func (p *planner) finish(step *stepping, limits map[string]int, full bool) {
	step.Limit = "no other node of the zone is left"
	if len(step.Nodes) == p.most {
		step.Limit = fmt.Sprintf("%d at once are a tenth of the fleet", p.most)
	} else if often := mostOften(limits); often != "" {
		step.Limit = often
	} else if full {
		step.Limit = "room"
	}
	if step.zone != "" {
		step.Zones = []string{step.zone}
	}
	slices.Sort(step.Nodes)
	for _, name := range step.Nodes {
		p.scheduler.uncordon(name, p.s.Node(name))
	}
	p.plan.Steps = append(p.plan.Steps, step.DrainStep)
	p.plan.Moves += step.Pods
	p.plan.Seconds += step.Seconds
}

func mostOften(limits map[string]int) string {
	best := ""
	for _, limit := range sortedKeys(limits) {
		if best == "" || limits[limit] > limits[best] {
			best = limit
		}
	}
	return best
}

// mostWaves is how often the nodes of a step may wait for each other's budgets.
const mostWaves = 4

// join adds a drained node to its step. The nodes of a step take their budgets
// in turn, so that the step has as many waves as its tightest budget makes it.
func (p *planner) join(step *stepping, run nodeRun) {
	p.runs = append(p.runs, run)
	alone := p.duration([]nodeRun{run})
	for _, v := range run.victims {
		if v.last.consumes {
			step.wanted[v.last.budget]++
		}
		if v.report.Outcome == report.DrainEvicted && v.workload != nil && isReady(v.pod) {
			step.leaving[v.workload]++
		}
	}
	waves := max(step.Waves, run.waves)
	for b, n := range step.wanted {
		if allowed := step.allowed[b]; allowed > 0 {
			waves = max(waves, int((n+allowed-1)/allowed))
		}
	}
	step.Nodes, step.Pods, step.Waves = append(step.Nodes, run.node), step.Pods+run.evicted(), waves
	if run.waves > 0 {
		step.Seconds = max(step.Seconds, alone.Seconds+int64(waves-run.waves)*max(alone.Seconds/int64(run.waves), int64(startup.Seconds())))
	}
}

// contends says what would make the node wait too long for the others of its
// step, or what would lose its last ready pod. It notes what the budgets allow.
func (p *planner) contends(step *stepping, name string) string {
	wanted := map[*budget]int32{}
	leaving := map[*cluster.Workload]int{}
	for _, pod := range p.podsOn[name] {
		if ignoresBudgets(pod) || p.o.filter(p.s.Time, p.daemonSetExists, pod).skip {
			continue
		}
		for _, b := range p.budgets.of(pod) {
			if _, known := step.allowed[b]; !known {
				step.allowed[b] = b.allowed
			}
			if wanted[b]++; !p.o.DisableEviction && step.wanted[b]+wanted[b] > mostWaves*step.allowed[b] {
				return "budget " + b.Namespace + "/" + b.Name
			}
		}
		if wl := p.workloads[pod]; wl != nil && wl.HasReplicas() && isReady(pod) && len(p.budgets.of(pod)) == 0 {
			if leaving[wl]++; len(wl.Pods) > 1 && step.leaving[wl]+leaving[wl] >= len(wl.Pods) {
				return fmt.Sprintf("the last pods of %s/%s", wl.Owner.Namespace, wl.Owner.Name)
			}
		}
	}
	return ""
}

// try drains a node. Where it cannot be, everything is as before, and why says
// what is in the way.
func (p *planner) try(ctx context.Context, name string) (run nodeRun, why string) {
	p.gave = nil
	before := slices.Clone(p.podsOn[name])
	p.scheduler.cordon(name)
	run = p.drain(ctx, name)
	if why = p.inTheWay(run); why != "" {
		p.takeBack(ctx, run, before)
		p.scheduler.uncordon(name, p.s.Node(name))
	}
	return run, why
}

func (p *planner) inTheWay(run nodeRun) string {
	for _, v := range run.victims {
		if v.report.Outcome == report.DrainStays {
			return fmt.Sprintf("%s/%s: %s", v.report.Namespace, v.report.Name, v.last.message)
		}
	}
	for _, v := range run.victims {
		if v.report.Unplaced != "" {
			return fmt.Sprintf("no room for %s/%s: %s", v.report.Namespace, v.report.Name, v.report.Unplaced)
		}
	}
	return ""
}

// takeBack undoes the drain of a node, last pod first.
func (p *planner) takeBack(ctx context.Context, run nodeRun, before []*corev1.Pod) {
	for _, b := range p.gave {
		b.healthy--
	}
	for _, v := range slices.Backward(run.victims) {
		if v.report.Outcome != report.DrainEvicted {
			continue
		}
		if v.successor != nil {
			if v.report.To != "" {
				p.forget(v.successor)
			}
			p.scheduler.undo(ctx, v.successor, v.placed)
		}
		p.scheduler.restore(v.pod)
		if v.last.consumes {
			v.last.budget.healthy++
		}
	}
	p.podsOn[run.node] = before
	for _, v := range run.victims {
		for _, b := range p.budgets.of(v.pod) {
			if !b.syncFailed() && b.healthy != b.Status.CurrentHealthy {
				b.allowed = max(0, b.healthy-b.Status.DesiredHealthy)
			} else if b.healthy == b.Status.CurrentHealthy {
				b.allowed = b.Status.DisruptionsAllowed
			}
		}
	}
}

// tellPlan fills the report of a plan.
func (w *world) tellPlan(check *report.DrainCheck, q Question, p *planner) {
	check.Plan = p.plan
	var stuck []*victim
	for _, run := range slices.Concat(p.runs, p.stuck) {
		check.Nodes = append(check.Nodes, w.tellNode(run))
	}
	slices.SortFunc(check.Nodes, func(a, b report.DrainNode) int { return cmp.Compare(a.Name, b.Name) })
	for _, run := range p.stuck {
		stuck = append(stuck, run.victims...)
	}
	found := &blockerSet{at: map[string]int{}}
	for _, run := range slices.Concat(p.runs, p.stuck) {
		for _, v := range run.victims {
			for _, reason := range v.filtered.refusals {
				found.add(reason.Flag, v, flagBlocker(q, reason))
			}
		}
	}
	check.Blockers = append(w.blockers(q, nil, stuck), found.all...)
	check.Blockers = slices.CompactFunc(check.Blockers, func(a, b report.DrainBlocker) bool {
		return a.Kind == "flag" && b.Kind == "flag" && a.Message == b.Message
	})
	all := stuck
	for _, run := range p.runs {
		all = append(all, run.victims...)
	}
	check.Unknowns = w.unknowns(all)
	for i := range p.plan.Stuck {
		for _, b := range check.Blockers {
			if slices.ContainsFunc(p.stuck[i].victims, func(v *victim) bool {
				return b.Kind != "flag" && slices.Contains(b.Pods, v.report.Namespace+"/"+v.report.Name)
			}) {
				p.plan.Stuck[i].Fixes = append(p.plan.Stuck[i].Fixes, b.Fixes...)
			}
		}
	}
	p.plan.Surge = surgeOf(w, p.stuck)
	check.Duration = report.DrainDuration{Seconds: p.plan.Seconds, AtMost: p.plan.Seconds, Parts: []report.DrainPart{}}
	for _, step := range p.plan.Steps {
		check.Duration.Waves += step.Waves
	}
	check.Placement = report.DrainPlacement{Replaced: p.plan.Moves, Placed: p.plan.Moves, Nodes: []report.DrainTarget{}}
	check.Command = succeedingPlan(q, check)
	check.Verdict, check.Summary = verdictOfPlan(check)
}

// succeedingPlan is the drain of one step's node, which the others are like.
func succeedingPlan(q Question, check *report.DrainCheck) string {
	o := q.Options
	for _, b := range check.Blockers {
		if b.Kind == "flag" {
			switch b.Message {
			case "cannot delete " + daemonSetFatal:
				o.IgnoreDaemonSets = true
			case "cannot delete " + localStorageFatal:
				o.DeleteEmptyDirData = true
			default:
				o.Force = true
			}
		}
	}
	if len(check.Plan.Steps) == 0 {
		return ""
	}
	q.NodeSelector, q.Nodes = "", check.Plan.Steps[0].Nodes
	return drainCommand(q, o)
}

func verdictOfPlan(check *report.DrainCheck) (report.DrainVerdict, string) {
	stuck := len(check.Plan.Stuck)
	for _, u := range check.Unknowns {
		if u.Decides && stuck == 0 {
			return report.VerdictUnknown, "what decides could not be read: " + u.Subject
		}
	}
	switch {
	case stuck > 0:
		return report.VerdictBlocked, fmt.Sprintf("%s cannot be drained as things are", count(stuck, "node"))
	case len(check.Blockers) > 0:
		return report.VerdictBlocked, "kubectl drain would refuse as it was typed; with the flags below every node can be drained"
	default:
		return report.VerdictSafe, "every node can be drained"
	}
}

// surgeOf is what the pods of the hungriest node lack.
func surgeOf(_ *world, stuck []nodeRun) *report.DrainSurge {
	var most *report.DrainSurge
	var mostCPU int64
	for _, run := range stuck {
		var cpu, memory resource.Quantity
		pods := 0
		for _, v := range run.victims {
			if v.report.Unplaced == "" {
				continue
			}
			requests := cluster.PodRequests(v.pod)
			cpu.Add(*requests.Cpu())
			memory.Add(*requests.Memory())
			pods++
		}
		if pods > 0 && (most == nil || cpu.MilliValue() > mostCPU) {
			mostCPU = cpu.MilliValue()
			most = &report.DrainSurge{Pods: pods, CPU: cpu.String(), Memory: memory.String(), Where: "on a node that the pods of " + run.node + " fit"}
		}
	}
	return most
}
