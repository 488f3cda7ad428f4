package drain

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Needs are the kinds that a check reads.
func Needs() []cluster.Kind {
	return append(cluster.WorkloadKinds(), decisive()...)
}

// decisive are the kinds, beside the workloads, on which a verdict may rest.
func decisive() []cluster.Kind {
	return []cluster.Kind{
		cluster.Nodes, cluster.Budgets, cluster.Namespaces, cluster.Claims, cluster.Volumes, cluster.StorageClasses,
		cluster.CSINodes, cluster.CSIDrivers, cluster.CSIStorageCapacities, cluster.VolumeAttachments,
		cluster.ResourceClaims, cluster.ResourceClaimTemplates, cluster.ResourceSlices, cluster.DeviceClasses,
		cluster.ReplicationControllers, cluster.PriorityClasses, cluster.Autoscalers,
		cluster.Services, cluster.EndpointSlices, cluster.ValidatingWebhooks, cluster.MutatingWebhooks, cluster.APIServices,
	}
}

// Question is what a check answers.
type Question struct {
	Options
	// Nodes are the names of the nodes, in the order of the drain.
	Nodes []string
	// NodeSelector is as it was typed, for the command; "" when they were named.
	NodeSelector string
	// Scheduler is the scheduler's configuration.
	Scheduler *config.KubeSchedulerConfiguration
}

// victim is a pod of a drained node.
type victim struct {
	pod      *corev1.Pod
	workload *cluster.Workload
	filtered filtered
	report   *report.DrainPod
	// last is what the eviction API said last.
	last decision
	// successor is the replacement, with a node when one was found.
	successor *corev1.Pod
	placed    placed
	// by is the pod that preempted this one; nil for pods of a drained node.
	by *victim
}

// world is a cluster in the course of a drain.
type world struct {
	s          *cluster.Snapshot
	o          Options
	budgets    budgets
	daemonSets map[cluster.Ref]bool
	scheduler  *scheduler
	pods       []*corev1.Pod // as the cluster has them
	podsOn     map[string][]*corev1.Pod
	workloads  map[*corev1.Pod]*cluster.Workload
	made       int
	// planning notes in gave what replacements give back to budgets.
	planning bool
	gave     []*budget
	// preempted are pods that made room for others.
	preempted []*victim
	// waiting are pods without a node that compete for what is free.
	waiting []*victim
}

// newUnscheduled is a world in which nothing is placed.
func newUnscheduled(s *cluster.Snapshot, q Question) *world {
	w := &world{
		s: s, o: q.Options, budgets: newBudgets(s.Budgets),
		daemonSets: map[cluster.Ref]bool{}, podsOn: map[string][]*corev1.Pod{}, workloads: make(map[*corev1.Pod]*cluster.Workload, len(s.Pods)),
	}
	for _, d := range s.DaemonSets {
		w.daemonSets[cluster.RefOf("apps/v1", "DaemonSet", &d.ObjectMeta)] = true
	}
	for _, kept := range s.Pods {
		pod := kept.Whole()
		w.pods, w.workloads[pod] = append(w.pods, pod), s.WorkloadOf(kept)
		if node := pod.Spec.NodeName; node != "" {
			w.podsOn[node] = append(w.podsOn[node], pod)
		}
	}
	return w
}

func newWorld(ctx context.Context, s *cluster.Snapshot, q Question, quick bool) (*world, error) {
	w := newUnscheduled(s, q)
	var err error
	if w.scheduler, err = newScheduler(ctx, s, w.pods, q.Scheduler, quick); err != nil {
		return nil, err
	}
	for _, pod := range w.pods {
		if pod.Spec.NodeName == "" && !ended(pod) && pod.DeletionTimestamp.IsZero() {
			v := &victim{pod: pod, workload: w.workloads[pod], successor: pod.DeepCopy(), report: &report.DrainPod{Namespace: pod.Namespace, Name: pod.Name}}
			v.report.Owner = owner(v)
			w.waiting = append(w.waiting, v)
		}
	}
	slices.SortFunc(w.waiting, func(a, b *victim) int { return byQueue(a.pod, b.pod) })
	return w, nil
}

// daemonSetExists is true also where DaemonSets could not be read: that is told
// as unknown.
func (w *world) daemonSetExists(ref cluster.Ref) bool {
	return w.daemonSets[ref] || !w.s.WasRead(cluster.DaemonSets)
}

// settle gives the pods that wait for a node now the nodes that they fit: they
// were there first.
func (w *world) settle(ctx context.Context) {
	w.assign(ctx, slices.Clone(w.unsettled()), nil)
	for _, v := range w.unsettled() {
		w.arrive(ctx, v)
	}
}

// unsettled are the waiting pods that have found no node so far; of many, the
// first in the queue.
func (w *world) unsettled() []*victim {
	var all []*victim
	for _, v := range w.waiting {
		if v.report.To == "" && len(all) < mostWaiting {
			all = append(all, v)
		}
	}
	return all
}

// mostWaiting bounds how many pending pods are tried again with every wave.
const mostWaiting = 100

// byQueue is the order of the scheduler's queue (kubernetes:
// pkg/scheduler/framework/plugins/queuesort); the age stands in for the time of
// queueing, which nobody can know.
func byQueue(a, b *corev1.Pod) int {
	return cmp.Or(cmp.Compare(priority(b), priority(a)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// nodeRun is how the drain of one node goes.
type nodeRun struct {
	node    string
	victims []*victim
	refused bool
	waves   int
}

// classify holds the pods of a node against kubectl's filters.
func (w *world) classify(node string) nodeRun {
	run := nodeRun{node: node}
	pods := slices.Clone(w.podsOn[node])
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, pod := range pods {
		if w.o.Selects != nil && !w.o.Selects.Matches(labels.Set(pod.Labels)) {
			continue // kubectl does not even list it
		}
		v := &victim{pod: pod, workload: w.workloads[pod], filtered: w.o.filter(w.s.Time, w.daemonSetExists, pod)}
		v.report = w.describe(v, node)
		run.refused = run.refused || len(v.filtered.refusals) > 0
		run.victims = append(run.victims, v)
	}
	return run
}

func (w *world) describe(v *victim, node string) *report.DrainPod {
	out := &report.DrainPod{
		Namespace: v.pod.Namespace, Name: v.pod.Name, Node: node, Priority: priority(v.pod), GraceSeconds: w.o.grace(v.pod),
		Reasons: slices.Clone(v.filtered.refusals), Outcome: report.DrainStays,
	}
	out.Owner = owner(v)
	for _, note := range v.filtered.notes {
		out.Reasons = append(out.Reasons, report.DrainReason{By: "kubectl", Message: note})
	}
	if v.filtered.skip {
		out.Outcome = report.DrainSkipped
	}
	return out
}

// owner is what a person would look at: of a pod, its workload.
func owner(v *victim) report.Object {
	if v.workload != nil {
		return object(v.workload.Owner)
	}
	return report.Object{APIVersion: "v1", Kind: "Pod", Namespace: v.pod.Namespace, Name: v.pod.Name}
}

func object(ref cluster.Ref) report.Object {
	return report.Object{APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
}

// drain empties a node, wave by wave, as if the flags that its pods ask for had
// been given. What a budget never lets go stays.
func (w *world) drain(ctx context.Context, node string) nodeRun {
	run := w.classify(node)
	pending := run.going()
	for wave := 1; len(pending) > 0; wave++ {
		gone, stay := w.evict(pending)
		if len(gone) == 0 {
			break
		}
		run.waves = wave
		for _, v := range gone {
			v.report.Outcome, v.report.Wave = report.DrainEvicted, wave
		}
		w.replace(ctx, gone)
		pending = stay
	}
	for _, v := range run.victims {
		if v.report.Outcome == report.DrainStays {
			v.report.Reasons = append(v.report.Reasons, w.refusal(v))
		}
	}
	return run
}

// evict asks for every pod once, as kubectl does at the same time; gone are
// those that the API lets go.
func (w *world) evict(pending []*victim) (gone, stay []*victim) {
	for _, v := range pending {
		v.last = decision{code: 200}
		if !w.o.DisableEviction {
			v.last = decide(v.pod, w.budgets.of(v.pod))
		}
		if !v.last.evicts() {
			stay = append(stay, v)
			continue
		}
		if v.last.consumes {
			v.last.budget.take()
		}
		gone = append(gone, v)
	}
	return gone, stay
}

func (w *world) refusal(v *victim) report.DrainReason {
	reason := report.DrainReason{By: "eviction", Code: v.last.code, Message: v.last.message}
	if v.last.budget != nil {
		reason.Budget = v.last.budget.Name
	}
	return reason
}

// replace takes evicted pods off their nodes and finds places for what their
// controllers make instead. A replacement of a pod that was ready is taken to
// become ready.
func (w *world) replace(ctx context.Context, gone []*victim) {
	queue := w.unsettled() // what leaves may be what they waited for
	for _, v := range gone {
		w.leave(v.pod)
	}
	for _, v := range gone {
		if v.successor = w.successor(v); v.successor != nil {
			v.report.Replaced = true
			queue = append(queue, v)
		}
	}
	w.assign(ctx, queue, gone)
	for _, v := range queue {
		w.arrive(ctx, v)
	}
}

// arrive notes what comes of a replacement that was assigned a place, or none.
func (w *world) arrive(ctx context.Context, v *victim) {
	found := v.placed
	v.report.To, v.report.Fits, v.report.Unplaced, v.report.Unknown = found.node, found.fits, found.reason, found.unknown
	for _, p := range found.victims {
		v.report.Preempts = append(v.report.Preempts, p.Namespace+"/"+p.Name)
		w.forget(p)
		w.preempt(ctx, v, p)
	}
	if found.node == "" {
		return
	}
	w.podsOn[found.node] = append(w.podsOn[found.node], v.successor)
	if isReady(v.pod) {
		for _, b := range w.budgets.of(v.successor) {
			b.give()
			if w.planning {
				w.gave = append(w.gave, b)
			}
		}
	}
}

// preempt lets a pod that made room find another place.
func (w *world) preempt(ctx context.Context, by *victim, pod *corev1.Pod) {
	p := &victim{pod: pod, workload: w.workloads[pod], report: &report.DrainPod{Namespace: pod.Namespace, Name: pod.Name, Node: pod.Spec.NodeName, Priority: priority(pod)}}
	p.report.Owner = owner(p)
	p.by = by
	if isReady(pod) {
		for _, b := range w.budgets.of(pod) {
			b.take()
			b.allowed = max(b.allowed, 0)
		}
	}
	if p.successor = w.successor(p); p.successor != nil {
		p.report.Replaced = true
		p.placed = w.place(ctx, p.successor)
		w.arrive(ctx, p)
	}
	w.preempted = append(w.preempted, p)
}

// leave takes a pod off its node.
func (w *world) leave(pod *corev1.Pod) {
	w.scheduler.remove(pod)
	w.forget(pod)
}

func (w *world) forget(pod *corev1.Pod) {
	node := pod.Spec.NodeName
	w.podsOn[node] = slices.DeleteFunc(w.podsOn[node], func(p *corev1.Pod) bool { return p == pod })
}

// Check answers a Question about a Snapshot. The error is non-nil only when the
// scheduler's configuration is unusable.
func Check(ctx context.Context, s *cluster.Snapshot, q Question) (*report.DrainCheck, error) {
	w, err := newWorld(ctx, s, q, false)
	if err != nil {
		return nil, err
	}
	for _, node := range q.Nodes {
		w.scheduler.cordon(node)
	}
	w.settle(ctx)
	var runs []nodeRun
	for _, node := range q.Nodes {
		runs = append(runs, w.drain(ctx, node))
	}
	check := newReport(s, q)
	w.tell(check, q, runs)
	return check, nil
}

func newReport(s *cluster.Snapshot, q Question) *report.DrainCheck {
	return &report.DrainCheck{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "DrainCheck"},
		Time:     metav1.NewTime(s.Time),
		Origin: report.Origin{
			Context: s.Origin.Context, Server: s.Origin.Server, Version: s.Origin.Version,
			Workloads: len(s.Workloads()), Nodes: len(s.Nodes),
		},
		Asked:   q.command(),
		Nodes:   []report.DrainNode{},
		Pods:    []report.DrainPod{},
		Budgets: []report.DrainBudget{}, Blockers: []report.DrainBlocker{}, Consequences: []report.DrainConsequence{},
		Unknowns: []report.DrainUnknown{},
	}
}
