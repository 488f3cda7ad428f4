package drain

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	// retryDelay is how long kubectl drain waits after a refused eviction
	// (k8s.io/kubectl/pkg/cmd/drain, EvictErrorRetryDelay).
	retryDelay = 5 * time.Second
	// ending is what a container that heeds SIGTERM is taken to need.
	ending = 2 * time.Second
	// startup is taken for a pod of which no start was seen.
	startup = 15 * time.Second
	// believable bounds a start that was seen: beyond it, readiness came and
	// went since.
	believable = 10 * time.Minute
)

// duration estimates how long the drain takes: for each node, wave after wave,
// until its pods have ended and, where a budget waits for that, until their
// replacements are ready.
func (w *world) duration(runs []nodeRun) report.DrainDuration {
	told := report.DrainDuration{Parts: []report.DrainPart{}}
	for _, run := range runs {
		var likely, most time.Duration
		for wave := 1; wave <= run.waves; wave++ {
			end, grace, ready := run.wave(w.o, wave)
			likely += end
			most += grace
			if wave < run.waves { // the next one waits for readiness
				likely += ready + retryDelay/2
				most += ready + retryDelay
			}
		}
		told.Waves += run.waves
		told.Seconds += int64(likely.Seconds())
		told.AtMost += int64(most.Seconds())
		if run.waves > 0 {
			told.Parts = append(told.Parts, report.DrainPart{
				Seconds: int64(likely.Seconds()), What: fmt.Sprintf("%s, %s in %s", run.node, count(run.evicted(), "pod"), count(run.waves, "wave")),
			})
		}
	}
	told.ExceedsTimeout = w.o.Timeout > 0 && told.Seconds > int64(w.o.Timeout.Seconds())
	return told
}

func (r nodeRun) evicted() int {
	n := 0
	for _, v := range r.victims {
		if v.report.Outcome == report.DrainEvicted {
			n++
		}
	}
	return n
}

// wave is how long the pods of a wave take to end, as a rule and at most, and
// how long their replacements take to get ready.
func (r nodeRun) wave(o Options, wave int) (end, grace, ready time.Duration) {
	for _, v := range r.victims {
		if v.report.Wave == wave {
			end = max(end, o.ends(v.pod))
			grace = max(grace, time.Duration(o.grace(v.pod))*time.Second)
			ready = max(ready, starts(v.pod))
		}
	}
	return end, max(grace, end), ready
}

// ends is how long a pod takes to end when its containers heed SIGTERM: its
// preStop sleeps, and a moment.
func (o Options) ends(pod *corev1.Pod) time.Duration {
	var sleep int64
	for i := range pod.Spec.Containers {
		hooks := pod.Spec.Containers[i].Lifecycle
		if hooks != nil && hooks.PreStop != nil && hooks.PreStop.Sleep != nil {
			sleep = max(sleep, hooks.PreStop.Sleep.Seconds)
		}
	}
	return min(time.Duration(sleep)*time.Second+ending, time.Duration(o.grace(pod))*time.Second)
}

// starts is how long the pod took from its start until it was ready, where that
// can be seen, else an assumption.
func starts(pod *corev1.Pod) time.Duration {
	restarted := false
	for i := range pod.Status.ContainerStatuses {
		restarted = restarted || pod.Status.ContainerStatuses[i].RestartCount > 0
	}
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.PodReady || c.Status != corev1.ConditionTrue || pod.Status.StartTime == nil || restarted {
			continue
		}
		if took := c.LastTransitionTime.Sub(pod.Status.StartTime.Time); took >= 0 && took < believable {
			return max(took, time.Second)
		}
	}
	return startup
}
