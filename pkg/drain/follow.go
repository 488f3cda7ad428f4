package drain

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// FollowNeeds are the kinds that each look at a running drain reads.
func FollowNeeds() []cluster.Kind {
	return append(cluster.WorkloadKinds(), cluster.Nodes, cluster.Budgets, cluster.Autoscalers)
}

// Follower follows a drain that somebody else runs. It remembers since when it
// has seen each pod wait: the API server keeps no trace of a refused eviction.
type Follower struct {
	since map[types.UID]time.Time
	gone  int
}

// NewFollower has seen nothing yet.
func NewFollower() *Follower { return &Follower{since: map[types.UID]time.Time{}} }

// Look tells how far the drain is.
func (f *Follower) Look(s *cluster.Snapshot, q Question) *report.DrainWatch {
	w := newUnscheduled(s, q)
	told := &report.DrainWatch{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "DrainWatch"},
		Time:     metav1.NewTime(s.Time), Pods: []report.DrainWaitingPod{}, Nodes: []report.DrainNode{},
	}
	present := map[types.UID]bool{}
	var victims []*victim
	for _, node := range q.Nodes {
		run := w.classify(node)
		gone, _ := w.evict(run.going())
		for _, v := range gone {
			v.report.Outcome = report.DrainEvicted
		}
		told.Nodes = append(told.Nodes, w.tellNode(run))
		victims = append(victims, run.going()...)
	}
	for _, v := range victims {
		present[v.pod.UID] = true
		if f.since[v.pod.UID].IsZero() {
			f.since[v.pod.UID] = s.Time
		}
		told.Pods = append(told.Pods, w.tellWaiting(v, victims, f.since[v.pod.UID]))
	}
	for uid := range f.since {
		if !present[uid] {
			f.gone++
			delete(f.since, uid)
		}
	}
	told.Gone = f.gone
	slices.SortStableFunc(told.Pods, func(a, b report.DrainWaitingPod) int { return cmp.Compare(a.State, b.State) })
	return told
}

// going are the pods of a node that a drain takes.
func (r nodeRun) going() []*victim {
	var all []*victim
	for _, v := range r.victims {
		if !v.filtered.skip {
			all = append(all, v)
		}
	}
	return all
}

// tellWaiting says what a pod waits for and what would release it.
func (w *world) tellWaiting(v *victim, victims []*victim, since time.Time) report.DrainWaitingPod {
	told := report.DrainWaitingPod{Namespace: v.report.Namespace, Name: v.report.Name, Node: v.report.Node, Since: metav1.NewTime(since)}
	switch {
	case !v.pod.DeletionTimestamp.IsZero():
		told.State, told.For = "ending", "its containers to stop"
		told.Since = metav1.NewTime(v.pod.DeletionTimestamp.Add(-time.Duration(w.o.grace(v.pod)) * time.Second))
		if w.stuck(v.pod) {
			told.Release = w.stuckBlocker(v.pod).Fixes
			told.For = w.stuckBlocker(v.pod).Message
		}
	case v.last.evicts():
		told.State, told.For = "to go", "its turn: its budgets let it go"
	default:
		blocker := w.budgetBlocker(v, victims)
		told.State, told.Budget = "waiting", v.last.budget.Name
		told.For = "poddisruptionbudget/" + v.last.budget.Name + ": " + blocker.Message
		told.Release = blocker.Fixes
	}
	return told
}
