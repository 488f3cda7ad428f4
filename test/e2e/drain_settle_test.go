//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// state is a world at rest.
type state struct {
	pods    []corev1.Pod
	budgets []policyv1.PodDisruptionBudget
	claims  []corev1.PersistentVolumeClaim
}

// restTimeout is for a machine on which ten times as much runs as it has cores.
const restTimeout = 4 * time.Minute

// settled waits until a world has not changed for some seconds, and every pod is
// either on a node and past Pending, or known to fit none.
func (d *differential) settled(ctx context.Context, w *world) (state, error) {
	deadline, patience := time.Now().Add(restTimeout), time.Now().Add(restTimeout/2)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var last string
	same := 0
	for {
		s, err := d.look(ctx, w)
		if err != nil {
			return s, err
		}
		print, busy := s.print()
		if same++; print != last {
			last, same = print, 0
		}
		if busy == "" && time.Now().Before(patience) {
			busy = s.behind()
		}
		if same >= s.patience() && busy == "" {
			return s, nil
		}
		if time.Now().After(deadline) {
			return s, fmt.Errorf("no rest in %s: %s", restTimeout, cmp.Or(busy, "something changes all the time"))
		}
		<-tick.C
	}
}

// patience is how many looks must have seen the same: two seconds and a half,
// and more where a pod waits, for the scheduler tries it again only after a
// back-off of seconds.
func (s state) patience() int {
	if slices.ContainsFunc(s.pods, func(pod corev1.Pod) bool { return pod.Spec.NodeName == "" }) {
		return 10
	}
	return 5
}

func (d *differential) look(ctx context.Context, w *world) (state, error) {
	pods, err := d.client.CoreV1().Pods(w.name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return state{}, err
	}
	budgets, err := d.client.PolicyV1().PodDisruptionBudgets(w.name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return state{}, err
	}
	claims, err := d.client.CoreV1().PersistentVolumeClaims(w.name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return state{}, err
	}
	return state{pods.Items, budgets.Items, claims.Items}, nil
}

// print is what may not change while a world rests, and what is still moving.
func (s state) print() (print, busy string) {
	var b strings.Builder
	for i := range s.pods {
		pod := &s.pods[i]
		fmt.Fprintln(&b, pod.UID, pod.Spec.NodeName, pod.Status.Phase, podReady(pod), pod.DeletionTimestamp)
		switch {
		case pod.DeletionTimestamp != nil:
			busy = pod.Name + " is ending"
		case pod.Spec.NodeName != "" && pod.Status.Phase == corev1.PodPending:
			busy = pod.Name + " is starting"
		case pod.Spec.NodeName == "" && !refused(pod):
			busy = pod.Name + " was not tried yet"
		}
	}
	for i := range s.budgets {
		budget := &s.budgets[i]
		if budget.Status.ObservedGeneration < budget.Generation && !isFrozen(budget) && !syncFailed(budget) {
			busy = budget.Name + " was never counted"
		}
		fmt.Fprintln(&b, budget.Name, budget.Status.CurrentHealthy, budget.Status.DisruptionsAllowed, budget.Status.ExpectedPods, len(budget.Status.DisruptedPods))
	}
	for i := range s.claims {
		claim := &s.claims[i]
		fmt.Fprintln(&b, claim.Name, claim.Status.Phase)
		if chosen := claim.Spec.VolumeName != "" || claim.Annotations["volume.kubernetes.io/selected-node"] != ""; chosen && claim.Status.Phase != corev1.ClaimBound {
			busy = claim.Name + " is being bound"
		}
	}
	return b.String(), busy
}

// behind names a budget whose status lags behind its pods: the disruption
// controller is seconds late on a busy machine. It is waited for a while and not
// for ever, for the eviction API and drain-check both go by the status.
func (s state) behind() string {
	for i := range s.budgets {
		if isFrozen(&s.budgets[i]) {
			continue
		}
		if why := s.lags(&s.budgets[i]); why != "" {
			return why
		}
	}
	return ""
}

// lags says how a budget's status differs from its pods; one that cannot be
// computed is at rest, with its reason.
func (s state) lags(budget *policyv1.PodDisruptionBudget) string {
	if syncFailed(budget) {
		return ""
	}
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil {
		return err.Error()
	}
	healthy := int32(0)
	for i := range s.pods {
		if podReady(&s.pods[i]) && s.pods[i].DeletionTimestamp == nil && selector.Matches(labels.Set(s.pods[i].Labels)) {
			healthy++
		}
	}
	if healthy != budget.Status.CurrentHealthy {
		return fmt.Sprintf("%s counts %d healthy pods, and there are %d", budget.Name, budget.Status.CurrentHealthy, healthy)
	}
	return ""
}

// syncFailed reports whether the disruption controller cannot count a budget;
// it leaves its status behind then.
func syncFailed(budget *policyv1.PodDisruptionBudget) bool {
	return slices.ContainsFunc(budget.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == policyv1.DisruptionAllowedCondition && c.Reason == policyv1.SyncFailedReason
	})
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func refused(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
	})
}
