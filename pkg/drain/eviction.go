package drain

import (
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// maxDisruptedPods is how many unconfirmed evictions a budget may have
// (kubernetes: pkg/registry/core/pod/storage/eviction.go, MaxDisruptedPodSize).
const maxDisruptedPods = 2000

// decision is the eviction API's answer for one pod.
type decision struct {
	// code is the HTTP status: 200 evicts, 429 makes kubectl try again, and
	// anything else makes it give the pod up.
	code    int
	message string
	// budget is the one that decided; nil when none had to be asked.
	budget *budget
	// consumes is true when the eviction takes one of the budget's disruptions.
	consumes bool
}

func (d decision) evicts() bool { return d.code == http.StatusOK }

// decide answers as the eviction API of Kubernetes does for a pod and the
// budgets that select it, in its order (kubernetes:
// pkg/registry/core/pod/storage/eviction.go, Create and checkAndDecrement).
func decide(pod *corev1.Pod, budgets []*budget) decision {
	switch {
	case ignoresBudgets(pod) || len(budgets) == 0:
		return decision{code: http.StatusOK}
	case len(budgets) > 1:
		return decision{
			code: http.StatusInternalServerError, budget: budgets[0],
			message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
		}
	}
	b := budgets[0]
	if !isReady(pod) && b.lets() {
		return decision{code: http.StatusOK, budget: b}
	}
	return b.decide()
}

// ignoresBudgets reports whether a pod is evicted without a look at budgets:
// it has ended, has not begun, or is on its way already.
func ignoresBudgets(pod *corev1.Pod) bool {
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending:
		return true
	}
	return !pod.DeletionTimestamp.IsZero()
}

// lets reports whether the budget lets unready pods go without counting them.
func (b *budget) lets() bool {
	if policy := b.Spec.UnhealthyPodEvictionPolicy; policy != nil && *policy == policyv1.AlwaysAllow {
		return true
	}
	return b.healthy >= b.Status.DesiredHealthy && b.Status.DesiredHealthy > 0
}

// decide is what the budget says about one more disruption.
func (b *budget) decide() decision {
	switch {
	case b.Status.ObservedGeneration < b.Generation:
		return decision{code: http.StatusTooManyRequests, budget: b, message: fmt.Sprintf("The disruption budget %s is still being processed by the server.", b.Name)}
	case b.allowed < 0:
		return decision{code: http.StatusForbidden, budget: b, message: fmt.Sprintf("The disruption budget %s does not allow evicting pods currently: pdb disruptions allowed is negative", b.Name)}
	case len(b.Status.DisruptedPods)+b.disrupted > maxDisruptedPods:
		return decision{code: http.StatusForbidden, budget: b, message: fmt.Sprintf("The disruption budget %s does not allow evicting pods currently: too many pending evictions not confirmed by PDB controller", b.Name)}
	case b.allowed == 0:
		return decision{code: http.StatusTooManyRequests, budget: b, message: b.refusal()}
	}
	return decision{code: http.StatusOK, budget: b, consumes: true}
}

// refusal is why the budget allows no disruption, in the API's words.
func (b *budget) refusal() string {
	condition := meta.FindStatusCondition(b.Status.Conditions, policyv1.DisruptionAllowedCondition)
	denied := condition != nil && condition.Status == metav1.ConditionFalse && condition.Message != ""
	switch {
	case denied && condition.Reason == policyv1.SyncFailedReason:
		return fmt.Sprintf("The disruption budget %s does not allow evicting pods currently because it failed sync: %s", b.Name, condition.Message)
	case b.healthy <= b.Status.DesiredHealthy:
		return fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", b.Name, b.Status.DesiredHealthy, b.healthy)
	case denied:
		return fmt.Sprintf("The disruption budget %s does not allow evicting pods currently (%s): %s", b.Name, condition.Reason, condition.Message)
	default:
		return fmt.Sprintf("The disruption budget %s does not allow evicting pods currently", b.Name)
	}
}

// budget is a PodDisruptionBudget at one moment of a drain: its status, moved
// on by the evictions so far and by the replacements that became ready.
type budget struct {
	*policyv1.PodDisruptionBudget
	selector labels.Selector

	healthy, allowed int32
	// disrupted counts the drain's evictions that the API has noted.
	disrupted int
}

// take notes an eviction that counts against the budget.
func (b *budget) take() {
	b.healthy--
	b.allowed--
}

// give notes that a pod of the budget became ready, as the disruption
// controller does (kubernetes: pkg/controller/disruption, updatePdbStatus).
// A budget whose sync fails stays as it is.
func (b *budget) give() {
	b.healthy++
	if !b.syncFailed() {
		b.allowed = max(0, b.healthy-b.Status.DesiredHealthy)
	}
}

func (b *budget) syncFailed() bool {
	condition := meta.FindStatusCondition(b.Status.Conditions, policyv1.DisruptionAllowedCondition)
	return condition != nil && condition.Status == metav1.ConditionFalse && condition.Reason == policyv1.SyncFailedReason
}

// rule is the budget's spec in short.
func (b *budget) rule() string {
	switch {
	case b.Spec.MinAvailable != nil:
		return "minAvailable " + b.Spec.MinAvailable.String()
	case b.Spec.MaxUnavailable != nil:
		return "maxUnavailable " + b.Spec.MaxUnavailable.String()
	default:
		return "no minAvailable and no maxUnavailable"
	}
}

// budgets are those of a cluster, by namespace.
type budgets map[string][]*budget

// newBudgets reads selectors as the eviction API does: in policy/v1, which
// converts older ones, an empty selector selects every pod of the namespace,
// and none or one that does not parse selects no pod.
func newBudgets(all []*policyv1.PodDisruptionBudget) budgets {
	by := budgets{}
	for _, pdb := range all {
		selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
		if err != nil {
			continue
		}
		by[pdb.Namespace] = append(by[pdb.Namespace], &budget{
			PodDisruptionBudget: pdb, selector: selector,
			healthy: pdb.Status.CurrentHealthy, allowed: pdb.Status.DisruptionsAllowed,
		})
	}
	return by
}

// of are the budgets that select a pod.
func (all budgets) of(pod *corev1.Pod) []*budget {
	var selecting []*budget
	for _, b := range all[pod.Namespace] {
		if b.selector.Matches(labels.Set(pod.Labels)) {
			selecting = append(selecting, b)
		}
	}
	return selecting
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
