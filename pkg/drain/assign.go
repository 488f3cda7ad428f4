package drain

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

const (
	// fewTrials and manyTrials bound how many orders of scheduling are tried where
	// the order matters: what one order in eighteen spoils, six mostly miss.
	fewTrials, manyTrials = 6, 96
	// mostFiltered is how often more than a few trials may ask whether a pod fits
	// a node: some tenths of a second.
	mostFiltered = 20_000
)

// trials is how many orders are tried of a queue of pods, over all the nodes.
// Each that takes back a device costs a tenth of a second.
func trials(queue []*victim, nodes int) int {
	if slices.ContainsFunc(queue, func(v *victim) bool { return len(v.pod.Spec.ResourceClaims) > 0 }) {
		return fewTrials
	}
	return min(max(mostFiltered/(len(queue)*nodes), fewTrials), manyTrials)
}

// assign finds a place for each replacement of what is gone. kubectl evicts pods at
// the same time, so the scheduler meets their replacements in nearly any order, and
// before or after the pods that they replace have ended. Where that can matter,
// several ways are tried; the one that places most is kept, and a pod that only
// some of them place is marked.
func (w *world) assign(ctx context.Context, queue, gone []*victim) {
	slices.SortStableFunc(queue, byArrival)
	best := w.try(ctx, queue, nil)
	if w.scheduler.quick || !orderMatters(queue, best) {
		keep(queue, best)
		return
	}
	trials, placedIn := trials(queue, len(w.scheduler.nodes)), map[*victim]int{}
	note := func(all map[*victim]placed) {
		for v, p := range all {
			if p.node != "" && len(p.victims) == 0 {
				placedIn[v]++
			}
		}
	}
	note(best)
	bestOrder, current, bestRandom := queue, best, 0
	for trial := 1; trial < trials; trial++ {
		w.undo(ctx, queue, current)
		order := reorder(queue, trial)
		w.scheduler.random = rand.New(rand.NewPCG(uint64(trial), 1)) //nolint:gosec // breaks ties, as the scheduler does
		current = w.try(ctx, order, stillThere(gone, trial))
		note(current)
		if misses(current) < misses(best) {
			best, bestOrder, bestRandom = current, order, trial
		}
	}
	w.undo(ctx, queue, current)
	w.scheduler.random = nil
	if bestRandom > 0 {
		w.scheduler.random = rand.New(rand.NewPCG(uint64(bestRandom), 1)) //nolint:gosec // as in that trial
	}
	keep(queue, w.try(ctx, bestOrder, stillThere(gone, bestRandom)))
	w.scheduler.random = nil
	for _, v := range queue {
		v.report.DependsOnOrder = placedIn[v] > 0 && placedIn[v] < trials
	}
}

func keep(queue []*victim, found map[*victim]placed) {
	for _, v := range queue {
		v.placed = found[v]
	}
}

// stillThere are the evicted pods that a trial takes to end only after others were
// scheduled: all of them, in every other two trials.
func stillThere(gone []*victim, trial int) []*victim {
	if trial%4 < 2 {
		return nil
	}
	return gone
}

// try places all in the given order, while some evicted pods still end. Those
// that find nothing are tried once more when these are gone, as the scheduler does
// when something changed.
func (w *world) try(ctx context.Context, order, ending []*victim) map[*victim]placed {
	found := map[*victim]placed{}
	var there []*corev1.Pod
	for _, v := range ending {
		there = append(there, w.scheduler.end(v.pod))
	}
	for _, v := range order {
		found[v] = w.place(ctx, v.successor)
	}
	for _, pod := range there {
		w.scheduler.remove(pod)
	}
	for _, v := range order {
		if found[v].reason != "" && misses(found) < len(order) {
			found[v] = w.place(ctx, v.successor)
		}
	}
	return found
}

// place puts a pod where the scheduler would, where enough was read to say so.
func (w *world) place(ctx context.Context, pod *corev1.Pod) placed {
	if unseen := w.unseen(pod); unseen != "" {
		return placed{unknown: unseen}
	}
	return w.scheduler.place(ctx, pod)
}

func (w *world) undo(ctx context.Context, queue []*victim, found map[*victim]placed) {
	for _, v := range queue {
		w.scheduler.undo(ctx, v.successor, found[v])
	}
}

func misses(found map[*victim]placed) int {
	n := 0
	for _, p := range found {
		if p.reason != "" {
			n++
		}
	}
	return n
}

// orderMatters reports whether another order could end otherwise. A pod that
// fits as many nodes as there are pods finds one in any order, for each of the
// others can spoil one node at most.
func orderMatters(queue []*victim, found map[*victim]placed) bool {
	return len(queue) > 1 && slices.ContainsFunc(queue, func(v *victim) bool {
		p := found[v]
		return p.unknown == "" && p.fits < len(queue)
	})
}

// byArrival is the order in which the scheduler is likely to meet replacements:
// those that a controller makes as soon as a pod is ending, then those that it
// makes when the pod is gone, and in each the higher priority first.
func byArrival(a, b *victim) int {
	return cmp.Or(cmp.Compare(boolRank(a.comesLate()), boolRank(b.comesLate())), byPriority(a, b))
}

func byPriority(a, b *victim) int { return cmp.Compare(priority(b.pod), priority(a.pod)) }

// comesLate reports whether the replacement is made only when the pod is gone:
// it has the same name.
func (v *victim) comesLate() bool {
	return v.successor.Name == v.pod.Name && v.pod.Spec.NodeName != ""
}

// reorder is another order than the likely one: the largest first; the higher
// priority first, whenever it was made; then in turn shuffles, the same each
// time, of all, and of what comes in likely order.
func reorder(queue []*victim, trial int) []*victim {
	order := slices.Clone(queue)
	random := rand.New(rand.NewPCG(uint64(trial), 0)) //nolint:gosec // an order, not a secret
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	switch {
	case trial == 1:
		slices.SortStableFunc(order, func(a, b *victim) int { return cmp.Or(byArrival(a, b), cmp.Compare(cpu(b.pod), cpu(a.pod))) })
	case trial == 2:
		slices.SortStableFunc(order, byPriority)
	case trial%2 == 0:
		slices.SortStableFunc(order, byArrival)
	}
	return order
}

func cpu(pod *corev1.Pod) int64 {
	requests := cluster.PodRequests(pod)
	return requests.Cpu().MilliValue() + requests.Memory().Value()>>20
}
