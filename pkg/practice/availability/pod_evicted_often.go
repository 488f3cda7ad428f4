package availability

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PodEvictedOften finds workloads that nodes keep throwing out.
//
// A node short of memory or disk evicts what uses more than it asked for, with
// no regard to budgets; where it happens again and again, the requests are wrong.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
func PodEvictedOften() practice.Practice {
	return practice.Practice{
		ID:       "pod-evicted-often",
		Title:    "Pods evicted by their nodes again and again",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A node short of memory or disk evicts what uses more than it asked for, with no regard to budgets. Where that happens again and again, the workload's requests are not what it uses.",
		Judged: "Pods that failed with reason Evicted in the last 24 hours and are still listed: at least 3 of one workload. " +
			"Controllers and the pod garbage collector delete such pods, so there may have been more.",
		Fix: "set requests to what the pods use, ephemeral storage included",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#pod-selection-for-kubelet-eviction",
		},
		LiveOnly:   true,
		Needs:      []cluster.Kind{cluster.Pods},
		Uses:       []cluster.Kind{cluster.ReplicaSets, cluster.Jobs},
		Thresholds: practice.Thresholds{{Name: "pods", Value: 3, Meaning: "of one workload, from which on it is no accident"}, {Name: "hours", Value: 24, Meaning: "back, that evictions are counted"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			return practice.EachWorkload(hasPods, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				n, newest := 0, (*cluster.Pod)(nil)
				for _, pod := range w.Pods {
					if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == "Evicted" && s.Time.Sub(evictedAt(pod)) < by.Span("hours", time.Hour) {
						n++
						if newest == nil || evictedAt(pod).After(evictedAt(newest)) {
							newest = pod
						}
					}
				}
				if float64(n) < by.Of("pods") {
					return nil
				}
				return []practice.Finding{practice.On(w.Owner, "", "%d pods were evicted by their nodes in the last %g hours, last from %s: %s",
					n, by.Of("hours"), newest.Spec.NodeName, strings.TrimSpace(newest.Status.Message)).
					Mended("%s", fmt.Sprintf("kubectl get pods -n %s --field-selector status.phase=Failed; set requests to what they use", w.Owner.Namespace))}
			})(s)
		},
	}
}

// evictedAt is when the kubelet gave a pod up, or at the least when it began.
func evictedAt(pod *cluster.Pod) time.Time {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.DisruptionTarget {
			return c.LastTransitionTime.Time
		}
	}
	return pod.CreationTimestamp.Time
}
