package harden

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
)

const (
	lookEvery = 500 * time.Millisecond
	// unschedulableFor is how long a pod may be without a node: a scheduler
	// needs seconds, and preemption frees a place within some.
	unschedulableFor = 15 * time.Second
	// policySoak is how long pods have to stay ready behind a new NetworkPolicy:
	// a probe that it cuts off fails three times, ten seconds apart by default.
	policySoak = 30 * time.Second
	// budgetPatience is how long a new budget may allow nothing: its controller
	// needs a second, and a pod that starts some more.
	budgetPatience = 30 * time.Second
	// autoscalerPatience is how long a new autoscaler may not work: it looks
	// every 15 seconds, and metrics of new pods come after a minute.
	autoscalerPatience = 90 * time.Second
)

// baseline is how the pods were before a write.
type baseline struct {
	workloads  map[cluster.Ref]*podsBefore
	namespaces map[string]*podsBefore // those behind a NetworkPolicy
}

// podsBefore are pods before a write.
type podsBefore struct {
	pods      map[types.UID]podBefore
	ready     int
	endpoints map[string]int // ready ones, by EndpointSlice's Service
}

type podBefore struct {
	ready    bool
	restarts map[string]int32 // by container
}

// baseline reads how the pods are that a write concerns.
func (r *Run) baseline(ctx context.Context, drafts drafts) (*baseline, error) {
	b := &baseline{map[cluster.Ref]*podsBefore{}, map[string]*podsBefore{}}
	for _, d := range drafts {
		var err error
		switch ref := d.change.Object; {
		case ref.Kind == "NetworkPolicy":
			b.namespaces[ref.Namespace], err = r.podsNow(ctx, ref.Namespace, "")
		case !d.creates() && rolls(d.before):
			s, stateErr := stateOf(d.before)
			if stateErr != nil {
				return nil, stateErr
			}
			b.workloads[ref], err = r.podsNow(ctx, ref.Namespace, metav1.FormatLabelSelector(s.selector))
		}
		if err != nil {
			return nil, fmt.Errorf("how the pods are before the change could not be read: %w", err)
		}
	}
	return b, nil
}

func (r *Run) podsNow(ctx context.Context, namespace, selector string) (*podsBefore, error) {
	found, err := r.pods(ctx, namespace, selector)
	if err != nil {
		return nil, err
	}
	before := &podsBefore{pods: map[types.UID]podBefore{}}
	for _, pod := range found {
		one := podBefore{ready: isReady(pod), restarts: map[string]int32{}}
		for _, status := range statuses(pod) {
			one.restarts[status.Name] = status.RestartCount
		}
		if one.ready {
			before.ready++
		}
		before.pods[pod.UID] = one
	}
	before.endpoints = r.endpoints(ctx, namespace, func(uid types.UID) bool { _, ok := before.pods[uid]; return ok })
	return before, nil
}

func (r *Run) pods(ctx context.Context, namespace, selector string) ([]*corev1.Pod, error) {
	items, err := r.API.List(ctx, podRef(namespace), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	var found []*corev1.Pod
	for i := range items {
		pod, err := typed[corev1.Pod](&items[i])
		if err != nil {
			return nil, err
		}
		if pod.DeletionTimestamp == nil {
			found = append(found, pod)
		}
	}
	return found, nil
}

// endpoints counts the ready endpoints of each Service that has one of the
// pods behind it; nil where they cannot be read.
func (r *Run) endpoints(ctx context.Context, namespace string, of func(types.UID) bool) map[string]int {
	items, err := r.API.List(ctx, cluster.Ref{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice", Namespace: namespace}, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	ready := map[string]int{}
	for i := range items {
		slice, err := typed[discoveryv1.EndpointSlice](&items[i])
		if err != nil {
			continue
		}
		service := slice.Labels[discoveryv1.LabelServiceName]
		for _, endpoint := range slice.Endpoints {
			if isReady := endpoint.Conditions.Ready; endpoint.TargetRef != nil && of(endpoint.TargetRef.UID) && (isReady == nil || *isReady) {
				ready[service]++
			}
		}
	}
	return ready
}

// look is what one look at an object says: whether all is as it should be, how
// far it is, or what is wrong.
type look struct {
	done  bool
	told  string
	wrong string
	err   error // of an API server that does not answer
}

type check func(context.Context) look

// watch waits until what a change concerns is well, and has been for a while.
// wrong says what is not, in the end.
func (r *Run) watch(ctx context.Context, record *journal.Record, b *baseline) (wrong string, err error) {
	checks, soak := r.checks(record, b)
	if len(checks) == 0 {
		return "", nil
	}
	deadline := time.Now().Add(r.Timeout)
	var well time.Time // since when
	for {
		all := r.lookAt(ctx, checks)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case all.wrong != "":
			return all.wrong, nil
		case all.done && well.IsZero():
			well = time.Now()
		case !all.done:
			well = time.Time{}
		}
		if !well.IsZero() && time.Since(well) >= soak {
			return "", nil
		}
		if time.Now().After(deadline) && well.IsZero() {
			if all.err != nil {
				return "", all.err
			}
			return fmt.Sprintf("not done within %s: %s", r.Timeout, all.told), nil
		}
		if well.IsZero() {
			r.Face.Progress("%s", all.told)
		} else {
			r.Face.Progress("watching that it stays well")
		}
		if err := pause(ctx, lookEvery); err != nil {
			return "", err
		}
	}
}

// lookAt makes all checks; the worst counts.
func (r *Run) lookAt(ctx context.Context, checks []check) look {
	all := look{done: true}
	for _, check := range checks {
		one := check(ctx)
		switch {
		case one.wrong != "":
			return one
		case one.err != nil:
			all.done, all.err, all.told = false, one.err, "the API server does not answer: "+oneLine(one.err.Error())
		case !one.done:
			all.done, all.told = false, one.told
		}
	}
	return all
}

// checks are what to look at after a change.
func (r *Run) checks(record *journal.Record, b *baseline) (checks []check, soak time.Duration) {
	soak = r.Soak
	for _, o := range record.Objects {
		ref := o.Ref()
		switch {
		case b.workloads[ref] != nil:
			checks = append(checks, r.workloadCheck(ref, b.workloads[ref]))
		case ref.Kind == "PodDisruptionBudget" && o.Created != nil:
			checks = append(checks, within(budgetPatience, r.budgetCheck(ref)))
		case ref.Kind == "HorizontalPodAutoscaler" && o.Created != nil:
			checks = append(checks, within(autoscalerPatience, r.autoscalerCheck(ref)))
		}
	}
	for namespace, before := range b.namespaces {
		soak = max(soak, min(policySoak, 6*r.Soak))
		checks = append(checks, r.namespaceCheck(namespace, before))
	}
	return checks, soak
}

// workloadCheck looks at a workload and its pods.
func (r *Run) workloadCheck(ref cluster.Ref, before *podsBefore) check {
	unplaced := map[types.UID]time.Time{}
	failures := r.failedCreates(ref)
	return func(ctx context.Context) look {
		obj, err := r.API.Get(ctx, ref)
		switch {
		case err != nil && isGone(err):
			return look{wrong: nameOf(ref) + " was deleted meanwhile"}
		case err != nil:
			return look{err: err}
		}
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

// get is a check of one object.
func get[T any](r *Run, ref cluster.Ref, judge func(*T) look) check {
	return func(ctx context.Context) look {
		obj, err := r.API.Get(ctx, ref)
		switch {
		case err != nil && isGone(err):
			return look{wrong: nameOf(ref) + " was deleted meanwhile"}
		case err != nil:
			return look{err: err}
		}
		held, err := typed[T](obj)
		if err != nil {
			return look{err: err}
		}
		return judge(held)
	}
}

// settleBack waits until the pods of what was taken back are as they were.
func (r *Run) settleBack(ctx context.Context, record *journal.Record, b *baseline) error {
	deadline := time.Now().Add(r.Timeout)
	for _, o := range record.Objects {
		for o.Created == nil {
			obj, err := r.API.Get(ctx, o.Ref())
			if err != nil && isGone(err) || err == nil && !rolls(obj) {
				break
			}
			var told string
			if err == nil {
				s, stateErr := stateOf(obj)
				if stateErr != nil || s.done || s.onDelete {
					break
				}
				told = s.told
				if s.ordered && b != nil {
					r.freeOrdered(ctx, o.Ref(), s, b)
				}
			} else {
				told = oneLine(err.Error())
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s is not as it was after %s: %s", nameOf(o.Ref()), r.Timeout, told)
			}
			r.Face.Progress("%s: %s", nameOf(o.Ref()), told)
			if err := pause(ctx, lookEvery); err != nil {
				return err
			}
		}
	}
	return nil
}

// freeOrdered deletes the pod of ours that a StatefulSet waits for: it does not
// put a corrected template in place of a pod that never became ready
// (kubernetes#67250).
func (r *Run) freeOrdered(ctx context.Context, ref cluster.Ref, s state, b *baseline) {
	before := b.workloads[ref]
	if ref.Kind != "StatefulSet" || before == nil {
		return
	}
	found, err := r.pods(ctx, ref.Namespace, metav1.FormatLabelSelector(s.selector))
	if err != nil {
		return
	}
	for _, pod := range found {
		if wrong := trouble(pod, before, map[types.UID]time.Time{}); wrong == "" || isReady(pod) {
			continue
		}
		if _, old := before.pods[pod.UID]; !old {
			_ = r.API.Delete(ctx, cluster.Ref{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}, pod.UID, pod.ResourceVersion)
		}
	}
}

var errElsewhere = errors.New("it was made in another cluster")

func listed(which []string) string { return strings.Join(which, ", ") }
