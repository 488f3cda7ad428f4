package resources

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// OOMKilled finds containers that were killed for want of memory.
//
// The kernel kills a container at its memory limit, or any when the node has
// none left, without a word in the container's log: from within it looks as if
// the program had stopped in the middle of a sentence.
// https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/
func OOMKilled() practice.Practice {
	return practice.Practice{
		ID:       "oom-killed",
		Title:    "Container that was killed for want of memory",
		Chapter:  practice.Resources,
		Severity: report.Critical,
		Reason: "The kernel kills a container at its memory limit, or any when the node has none left, without a word in the container's own log. " +
			"What it was doing is lost, and it happens again at the next peak.",
		Judged: "The present and the last state of each container of each pod: ended with reason OOMKilled, within the last 24 hours; a kill before that is a warning. " +
			"The API keeps only the last end of a container and a count of restarts of any cause, so kills are not counted one by one.",
		Fix: "raise the memory limit above the container's peak, or find the leak",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/#exceed-a-container-s-memory-limit",
			"https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior",
		},
		Now:      true,
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods},
		Uses:     []cluster.Kind{cluster.ReplicaSets, cluster.Jobs},
		Remedy: &practice.Remedy{
			Does:    raisesLimit,
			Uses:    sizingKinds(),
			Propose: sizer(raiseLimit),
		},
		Thresholds: practice.Thresholds{{Name: "hours", Value: 24, Meaning: "after which a kill is history, and a warning"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			return practice.EachWorkload(hasPods, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				var findings []practice.Finding
				for _, k := range kills(w) {
					findings = append(findings, k.finding(s, w, by.Span("hours", time.Hour)))
				}
				return findings
			})(s)
		},
	}
}

func hasPods(w *cluster.Workload) bool { return len(w.Pods) > 0 }

// killed is one container's kills over a Workload's pods.
type killed struct {
	container string
	pods      int
	restarts  int32
	last      time.Time
	limit     string // of the pod killed last; "" without one
}

func kills(w *cluster.Workload) []*killed {
	var all []*killed
	for _, pod := range w.Pods {
		for status := range pod.Statuses() {
			ended := oomEnd(status)
			if ended == nil {
				continue
			}
			at := slices.IndexFunc(all, func(k *killed) bool { return k.container == status.Name })
			if at < 0 {
				at = len(all)
				all = append(all, &killed{container: status.Name})
			}
			all[at].add(pod, status, ended)
		}
	}
	return all
}

func oomEnd(status *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	for _, ended := range []*corev1.ContainerStateTerminated{status.State.Terminated, status.LastTerminationState.Terminated} {
		if ended != nil && ended.Reason == "OOMKilled" {
			return ended
		}
	}
	return nil
}

func (k *killed) add(pod *cluster.Pod, status *corev1.ContainerStatus, ended *corev1.ContainerStateTerminated) {
	k.pods++
	k.restarts += status.RestartCount
	if ended.FinishedAt.Time.Before(k.last) {
		return
	}
	k.last, k.limit = ended.FinishedAt.Time, ""
	if c := containerOf(pod, status.Name); c != nil {
		if limit, limited := c.Resources.Limits[corev1.ResourceMemory]; limited {
			k.limit = amount(corev1.ResourceMemory, number(limit))
		}
	}
}

func (k *killed) finding(s *cluster.Snapshot, w *cluster.Workload, recent time.Duration) practice.Finding {
	at, path := "at its memory limit of "+k.limit, pathOf(w, k.container)
	if k.limit == "" {
		at = "without a memory limit of its own, so that its node or its pod ran out"
	}
	if path != "" {
		path += ".resources.limits.memory"
	}
	restarts := ""
	if k.restarts > 0 {
		restarts = fmt.Sprintf("; %s there, of any cause", plural(int(k.restarts), "restart"))
	}
	finding := practice.On(w.Owner, path, "container %q was OOMKilled in %d of %s, last %s ago (%s), %s%s", k.container, k.pods, plural(len(w.Pods), "pod"),
		span(s.Time.Sub(k.last)), k.last.UTC().Format("2006-01-02 15:04 MST"), at, restarts)
	if s.Time.Sub(k.last) > recent {
		return finding.As(report.Warning)
	}
	return finding
}
