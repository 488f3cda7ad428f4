package harden

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// workloadCheck looks at a workload and its pods.
func (r *Run) workloadCheck(ref cluster.Ref, before *podsBefore) check {
	unplaced := map[types.UID]time.Time{}
	failures := r.failedCreates(ref)
	return r.fetched(ref, func(ctx context.Context, obj *unstructured.Unstructured) look {
		s, err := stateOf(obj)
		if err != nil {
			return look{err: err}
		}
		found, err := r.pods(ctx, ref.Namespace, metav1.FormatLabelSelector(s.selector))
		if err != nil {
			return look{err: err}
		}
		for _, pod := range found {
			if wrong := trouble(pod, before, unplaced); wrong != "" {
				return look{wrong: wrong}
			}
		}
		if s.failed == "" {
			s.failed = failures(ctx, obj.GetUID())
		}
		if s.failed != "" {
			return look{wrong: nameOf(ref) + ": " + oneLine(s.failed)}
		}
		if s.done {
			return r.served(ctx, ref.Namespace, found, before)
		}
		return look{told: nameOf(ref) + ": " + s.told}
	})
}

// fetched is a check of one object as it is at each look.
func (r *Run) fetched(ref cluster.Ref, judge func(context.Context, *unstructured.Unstructured) look) check {
	return func(ctx context.Context) look {
		obj, err := r.API.Get(ctx, ref)
		switch {
		case err != nil && isGone(err):
			return look{wrong: nameOf(ref) + " was deleted meanwhile"}
		case err != nil:
			return look{err: err}
		}
		return judge(ctx, obj)
	}
}

// served holds that no Service has fewer ready endpoints than before.
func (r *Run) served(ctx context.Context, namespace string, found []*corev1.Pod, before *podsBefore) look {
	uids := map[types.UID]bool{}
	for _, pod := range found {
		uids[pod.UID] = true
	}
	if len(before.endpoints) == 0 {
		return look{done: true}
	}
	now := r.endpoints(ctx, namespace, func(uid types.UID) bool { return uids[uid] })
	for _, service := range slices.Sorted(maps.Keys(before.endpoints)) {
		if now[service] < before.endpoints[service] {
			return look{told: fmt.Sprintf("Service %s has %d of %d ready endpoints", service, now[service], before.endpoints[service])}
		}
	}
	return look{done: true}
}

// trouble is what is wrong with a pod that was not before; "" where nothing is.
func trouble(pod *corev1.Pod, before *podsBefore, unplaced map[types.UID]time.Time) string {
	was, old := before.pods[pod.UID]
	for _, status := range statuses(pod) {
		name := fmt.Sprintf("pod %s, container %s", pod.Name, status.Name)
		if waiting := status.State.Waiting; !old && waiting != nil && slices.Contains([]string{
			"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff", "InvalidImageName",
		}, waiting.Reason) {
			return fmt.Sprintf("%s: %s: %s%s", name, waiting.Reason, oneLine(waiting.Message), ended(status))
		}
		if status.RestartCount > was.restarts[status.Name] {
			return fmt.Sprintf("%s: restarted %d times%s", name, status.RestartCount-was.restarts[status.Name], ended(status))
		}
		if last := status.State.Terminated; !old && last != nil && last.Reason == "OOMKilled" {
			return fmt.Sprintf("%s: OOMKilled", name)
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return fmt.Sprintf("pod %s failed: %s %s", pod.Name, pod.Status.Reason, oneLine(pod.Status.Message))
	}
	for _, c := range pod.Status.Conditions {
		if old || c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse || c.Reason != corev1.PodReasonUnschedulable {
			continue
		}
		if unplaced[pod.UID].IsZero() {
			unplaced[pod.UID] = time.Now()
		}
		if time.Since(unplaced[pod.UID]) > unschedulableFor {
			return fmt.Sprintf("pod %s: Unschedulable: %s", pod.Name, oneLine(c.Message))
		}
	}
	return ""
}

// ended tells how a container ended last.
func ended(status corev1.ContainerStatus) string {
	last := status.LastTerminationState.Terminated
	if last == nil {
		last = status.State.Terminated
	}
	if last == nil {
		return ""
	}
	return fmt.Sprintf(" (%s, exit code %d)", last.Reason, last.ExitCode)
}

func statuses(pod *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// failedCreates tells of pods that a StatefulSet or DaemonSet could not make
// since the first call: their statuses do not say it, only events do.
func (r *Run) failedCreates(ref cluster.Ref) func(context.Context, types.UID) string {
	if ref.Kind == "Deployment" {
		return func(context.Context, types.UID) string { return "" }
	}
	var before map[types.UID]int32
	return func(ctx context.Context, uid types.UID) string {
		items, err := r.API.List(ctx, cluster.Ref{APIVersion: "v1", Kind: "Event", Namespace: ref.Namespace}, metav1.ListOptions{
			FieldSelector: "reason=FailedCreate,involvedObject.uid=" + string(uid),
		})
		if err != nil {
			return "" // the timeout tells in the end
		}
		now := map[types.UID]int32{}
		told := ""
		for i := range items {
			event, err := typed[corev1.Event](&items[i])
			if err != nil {
				continue
			}
			now[event.UID] = event.Count
			// Events are folded: the first look may already hold one of ours.
			if before == nil && time.Since(event.LastTimestamp.Time) < 2*time.Second && event.Count == 1 || before != nil && event.Count > before[event.UID] {
				told = "FailedCreate: " + event.Message
			}
		}
		if before == nil {
			before = now
		}
		return told
	}
}

// namespaceCheck holds that the pods of a namespace stay as they were.
func (r *Run) namespaceCheck(namespace string, before *podsBefore) check {
	unplaced := map[types.UID]time.Time{}
	return func(ctx context.Context) look {
		found, err := r.pods(ctx, namespace, "")
		if err != nil {
			return look{err: err}
		}
		for _, pod := range found {
			was, old := before.pods[pod.UID]
			if !old {
				continue
			}
			if was.ready && !isReady(pod) {
				return look{wrong: fmt.Sprintf("pod %s in %s is no longer ready", pod.Name, namespace)}
			}
			if wrong := trouble(pod, before, unplaced); wrong != "" {
				return look{wrong: wrong}
			}
		}
		return look{done: true}
	}
}

// within is a check that goes wrong when it is not done after a while.
func within(patience time.Duration, check check) check {
	deadline := time.Now().Add(patience)
	return func(ctx context.Context) look {
		one := check(ctx)
		if !one.done && one.wrong == "" && one.err == nil && time.Now().After(deadline) {
			one.wrong = fmt.Sprintf("%s, after %s", one.told, patience)
		}
		return one
	}
}

// budgetCheck waits until a budget allows an eviction.
func (r *Run) budgetCheck(ref cluster.Ref) check {
	return get(r, ref, func(b *policyv1.PodDisruptionBudget) look {
		switch {
		case b.Status.ObservedGeneration < b.Generation || b.Generation == 0:
			return look{told: "waiting for the controller of " + nameOf(ref)}
		case b.Status.DisruptionsAllowed < 1 && b.Status.ExpectedPods > 0:
			return look{told: fmt.Sprintf("%s allows no eviction: %d of %d pods are healthy, and it wants %d", nameOf(ref),
				b.Status.CurrentHealthy, b.Status.ExpectedPods, b.Status.DesiredHealthy)}
		}
		return look{done: true}
	})
}

// autoscalerCheck waits until an autoscaler works.
func (r *Run) autoscalerCheck(ref cluster.Ref) check {
	return get(r, ref, func(a *autoscalingv2.HorizontalPodAutoscaler) look {
		is := map[autoscalingv2.HorizontalPodAutoscalerConditionType]bool{}
		told := "waiting for the controller of " + nameOf(ref)
		for _, c := range a.Status.Conditions {
			is[c.Type] = c.Status == corev1.ConditionTrue
			if c.Status != corev1.ConditionTrue && c.Type != autoscalingv2.ScalingLimited {
				told = fmt.Sprintf("%s: %s: %s", nameOf(ref), c.Reason, oneLine(c.Message))
			}
		}
		return look{done: is[autoscalingv2.AbleToScale] && is[autoscalingv2.ScalingActive], told: told}
	})
}

// get is a check of one object of a known type.
func get[T any](r *Run, ref cluster.Ref, judge func(*T) look) check {
	return r.fetched(ref, func(_ context.Context, obj *unstructured.Unstructured) look {
		held, err := typed[T](obj)
		if err != nil {
			return look{err: err}
		}
		return judge(held)
	})
}
