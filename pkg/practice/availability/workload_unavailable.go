package availability

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// WorkloadUnavailable finds workloads that have fewer pods than they want.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
func WorkloadUnavailable() practice.Practice {
	return practice.Practice{
		ID:       "workload-unavailable",
		Title:    "Fewer ready pods than wanted",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "Each pod that is not ready is load on the others, and the failure that the replicas were to cover has already happened: the next one is seen by users.",
		Judged: "Deployments, StatefulSets and DaemonSets by their own status, once it is up to date: ready pods against wanted ones. " +
			"Pods that other practices explain count as told: pending, without their image, in a restart loop, on their way out; so do those that became unready less than 2 minutes ago.",
		Fix: "ask the pods that are not ready: kubectl describe pod, kubectl logs",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status",
			"https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/",
		},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods},
		Judges:   []cluster.Kind{cluster.Deployments, cluster.StatefulSets, cluster.DaemonSets},
		Uses:     []cluster.Kind{cluster.ReplicaSets},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			judge := func(w *cluster.Workload, current bool, wanted, ready int32) {
				v.Judged = append(v.Judged, w.Owner)
				if current && ready < wanted {
					v.Findings = append(v.Findings, unexplained(s, w, int(wanted), int(ready))...)
				}
			}
			for _, d := range s.Deployments {
				w := workloadOf(s, "Deployment", &d.ObjectMeta)
				judge(w, d.Status.ObservedGeneration == d.Generation, *w.Replicas, d.Status.ReadyReplicas)
			}
			for _, set := range s.StatefulSets {
				w := workloadOf(s, "StatefulSet", &set.ObjectMeta)
				judge(w, set.Status.ObservedGeneration == set.Generation, *w.Replicas, set.Status.ReadyReplicas)
			}
			for _, d := range s.DaemonSets {
				judge(workloadOf(s, "DaemonSet", &d.ObjectMeta), d.Status.ObservedGeneration == d.Generation, d.Status.DesiredNumberScheduled, d.Status.NumberReady)
			}
			return v
		},
	}
}

// unexplained tells of missing pods that no other practice explains.
func unexplained(s *cluster.Snapshot, w *cluster.Workload, wanted, ready int) []practice.Finding {
	told, unready := 0, []*cluster.Pod{}
	for _, pod := range w.Pods {
		switch state := readiness(pod); {
		case !stays(pod):
		case state != nil && state.Status == corev1.ConditionTrue:
		case crashes(pod) || imageTrouble(pod) != nil || pending(s.Time, pod) != nil || pod.Status.Phase == corev1.PodPending:
			told++
		case state == nil || s.Time.Sub(state.LastTransitionTime.Time) < settling:
			told++ // it has only begun
		default:
			unready = append(unready, pod)
		}
	}
	missing := wanted - ready - told
	if missing <= 0 || (len(unready) == 0 && told > 0) {
		return nil
	}
	text := fmt.Sprintf("%d of %d wanted pods are ready", ready, wanted)
	if len(unready) == 0 {
		if s.Time.Sub(w.Meta.CreationTimestamp.Time) < settling {
			return nil
		}
		return []practice.Finding{practice.On(w.Owner, "status", "%s, and the others do not exist", text).
			Mended("kubectl describe %s -n %s", w.Self.String(), w.Self.Namespace)}
	}
	c := readiness(unready[0])
	text += fmt.Sprintf("; %d run and have not been ready for up to %s", len(unready), longest(s, unready))
	if c.Message != "" {
		text += " (" + c.Message + ")"
	}
	return []practice.Finding{practice.On(w.Owner, "status", "%s", text).Mended("%s; kubectl logs -n %s %s", describePod(unready[0]), unready[0].Namespace, unready[0].Name)}
}

func longest(s *cluster.Snapshot, pods []*cluster.Pod) string {
	oldest := readiness(pods[0]).LastTransitionTime.Time
	for _, pod := range pods {
		if at := readiness(pod).LastTransitionTime.Time; at.Before(oldest) {
			oldest = at
		}
	}
	return since(s.Time, oldest)
}

func readiness(pod *cluster.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}
