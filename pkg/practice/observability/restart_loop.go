package observability

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RestartLoop finds containers that keep crashing, with how they last ended.
//
// The kubelet restarts a failing container with a delay that doubles up to
// five minutes (CrashLoopBackOff); between the attempts the workload is short
// of a replica, and nothing but the last exit code and log says why.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
func RestartLoop() practice.Practice {
	return practice.Practice{
		ID:       "restart-loop",
		Title:    "Container in a restart loop",
		Chapter:  practice.Observability,
		Severity: report.Critical,
		Reason: "A container that keeps crashing leaves its workload short of a replica, and the delay between the attempts grows to five minutes. " +
			"Nothing but the last exit and the previous log says why.",
		Judged: "Every pod's containers: waiting in CrashLoopBackOff, or restarted at least 3 times with the last end less than an hour ago. " +
			"The API keeps a count and the last end only, so restarts within the hour are not counted one by one.",
		Fix:      "read the previous log: kubectl logs --previous",
		Sources:  []string{"https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy"},
		Now:      true,
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods},
		Uses:     []cluster.Kind{cluster.ReplicaSets, cluster.Jobs},
		Thresholds: practice.Thresholds{
			{Name: "restarts", Value: 3, Meaning: "from which on they are a loop, and not what any container may have"},
			{Name: "minutes", Value: 60, Meaning: "since the last end, after which the loop is over"},
		},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			return practice.EachWorkload(hasPods, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding { return loopsOf(s, w, by) })(s)
		},
	}
}

// loopsOf is one finding for each container that loops in some pod.
func loopsOf(s *cluster.Snapshot, w *cluster.Workload, by practice.Thresholds) []practice.Finding {
	loops := map[string]*loop{}
	var order []string
	for _, pod := range w.Pods {
		for status := range pod.Statuses() {
			if !loopsNow(s.Time, status, by) {
				continue
			}
			if loops[status.Name] == nil {
				loops[status.Name] = &loop{}
				order = append(order, status.Name)
			}
			loops[status.Name].add(pod, status)
		}
	}
	var findings []practice.Finding
	for _, name := range order {
		findings = append(findings, loops[name].finding(w, name))
	}
	return findings
}

func hasPods(w *cluster.Workload) bool { return len(w.Pods) > 0 }

func loopsNow(now time.Time, status *corev1.ContainerStatus, by practice.Thresholds) bool {
	if waiting := status.State.Waiting; waiting != nil && waiting.Reason == "CrashLoopBackOff" {
		return true
	}
	last := status.LastTerminationState.Terminated
	return float64(status.RestartCount) >= by.Of("restarts") && last != nil && now.Sub(last.FinishedAt.Time) < by.Span("minutes", time.Minute)
}

// loop is one container's loop over all pods of a workload.
type loop struct {
	pods     []string
	restarts int32
	last     *corev1.ContainerStateTerminated
}

func (l *loop) add(pod *cluster.Pod, status *corev1.ContainerStatus) {
	l.pods = append(l.pods, pod.Name)
	l.restarts += status.RestartCount
	for _, ended := range []*corev1.ContainerStateTerminated{status.State.Terminated, status.LastTerminationState.Terminated} {
		if ended != nil && (l.last == nil || ended.FinishedAt.After(l.last.FinishedAt.Time)) {
			l.last = ended
		}
	}
}

func (l *loop) finding(w *cluster.Workload, container string) practice.Finding {
	text := fmt.Sprintf("container %q restarted %d times in %d of %d pods", container, l.restarts, len(l.pods), len(w.Pods))
	if l.last != nil {
		text += fmt.Sprintf("; last ended with exit code %d (%s)", l.last.ExitCode, l.last.Reason)
		if message := strings.TrimSpace(l.last.Message); message != "" {
			text += ": " + message
		}
	}
	return practice.On(w.Owner, "", "%s", text).
		Mended("kubectl logs --previous -n %s %s -c %s", w.Owner.Namespace, l.pods[0], container)
}
