package drain

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func testBudget(allowed, healthy, desired int32, change func(*policyv1.PodDisruptionBudget)) *policyv1.PodDisruptionBudget {
	pdb := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "foo", Namespace: "default"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "true"}}},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed, CurrentHealthy: healthy, DesiredHealthy: desired},
	}
	if change != nil {
		change(pdb)
	}
	return pdb
}

func selects(selector *metav1.LabelSelector) func(*policyv1.PodDisruptionBudget) {
	return func(pdb *policyv1.PodDisruptionBudget) { pdb.Spec.Selector = selector }
}

func condition(reason, message string) func(*policyv1.PodDisruptionBudget) {
	return func(pdb *policyv1.PodDisruptionBudget) {
		pdb.Status.Conditions = []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: reason, Message: message}}
	}
}

// TestTheEvictionAPIsTruthTable has each case of the registry's own tests
// (kubernetes: pkg/registry/core/pod/storage/eviction_test.go) that depends on
// the state of the pod and of its budgets, under each of the three policies
// that the case names there. Those about the request itself (names, dry runs,
// preconditions, conflicts between two reads) have no state to predict from.
func TestTheEvictionAPIsTruthTable(t *testing.T) {
	const (
		byDefault = "nil"
		ifHealthy = string(policyv1.IfHealthyBudget)
		always    = string(policyv1.AlwaysAllow)
	)
	all, guarded := []string{byDefault, ifHealthy, always}, []string{byDefault, ifHealthy}
	tooMany := make(map[string]metav1.Time)
	for i := range 3000 {
		tooMany[fmt.Sprint(i)] = metav1.Time{}
	}
	for name, test := range map[string]struct {
		pdbs        []*policyv1.PodDisruptionBudget
		policies    []string
		phase       corev1.PodPhase
		ready       bool
		terminating bool
		code        int
		message     string
		consumes    bool
	}{
		"no disruptions allowed, pod running":                {pdbs: one(testBudget(0, 0, 0, nil)), policies: guarded, phase: corev1.PodRunning, code: 429, message: "The disruption budget foo needs 0 healthy pods and has 0 currently"},
		"no disruptions allowed, pod pending":                {pdbs: one(testBudget(0, 0, 0, nil)), policies: all, phase: corev1.PodPending, code: 200},
		"no disruptions allowed, pod succeeded":              {pdbs: one(testBudget(0, 0, 0, nil)), policies: all, phase: corev1.PodSucceeded, code: 200},
		"no disruptions allowed, pod failed":                 {pdbs: one(testBudget(0, 0, 0, nil)), policies: all, phase: corev1.PodFailed, code: 200},
		"disruptions allowed":                                {pdbs: one(testBudget(1, 0, 0, nil)), policies: all, phase: corev1.PodRunning, ready: true, code: 200, consumes: true},
		"a budget that selects others":                       {pdbs: one(testBudget(0, 0, 0, selects(&metav1.LabelSelector{MatchLabels: map[string]string{"b": "true"}}))), policies: all, phase: corev1.PodRunning, code: 200},
		"no disruptions allowed, empty selector selects all": {pdbs: one(testBudget(0, 0, 0, selects(&metav1.LabelSelector{}))), policies: guarded, phase: corev1.PodRunning, code: 429, message: "needs 0 healthy pods and has 0 currently"},
		"no selector selects nothing":                        {pdbs: one(testBudget(0, 0, 0, selects(nil))), policies: all, phase: corev1.PodRunning, code: 200},
		"a selector that does not parse selects nothing":     {pdbs: one(testBudget(0, 0, 0, selects(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}))), policies: all, phase: corev1.PodRunning, code: 200},
		"no disruptions allowed, pod terminating":            {pdbs: one(testBudget(0, 0, 0, nil)), policies: all, phase: corev1.PodRunning, terminating: true, code: 200},
		"running and ready, the unhealthy pod is another":    {pdbs: one(testBudget(0, 2, 3, nil)), policies: all, phase: corev1.PodRunning, ready: true, code: 429, message: "The disruption budget foo needs 3 healthy pods and has 2 currently"},
		"running and ready, disruptions allowed":             {pdbs: one(testBudget(1, 3, 2, nil)), policies: all, phase: corev1.PodRunning, ready: true, code: 200, consumes: true},
		"unready, budget not met":                            {pdbs: one(testBudget(0, 2, 3, nil)), policies: guarded, phase: corev1.PodRunning, code: 429, message: "needs 3 healthy pods and has 2 currently"},
		"unready, budget not met, always allowed":            {pdbs: one(testBudget(0, 2, 3, nil)), policies: []string{always}, phase: corev1.PodRunning, code: 200},
		"unready, budget met, goes without counting":         {pdbs: one(testBudget(0, 3, 3, nil)), policies: all, phase: corev1.PodRunning, code: 200},
		"ready, budget just met, empty selector":             {pdbs: one(testBudget(0, 3, 3, selects(&metav1.LabelSelector{}))), policies: all, phase: corev1.PodRunning, ready: true, code: 429, message: "needs 3 healthy pods and has 3 currently"},
		"the sync failed":                                    {pdbs: one(testBudget(0, 3, 3, condition(policyv1.SyncFailedReason, "found no controllers"))), policies: all, phase: corev1.PodRunning, ready: true, code: 429, message: "because it failed sync: found no controllers"},
		"a negative number of disruptions allowed":           {pdbs: one(testBudget(-1, 0, 0, nil)), policies: guarded, phase: corev1.PodRunning, code: 403, message: "pdb disruptions allowed is negative"},
		"too many evictions that nobody confirmed":           {pdbs: one(testBudget(1, 0, 0, func(p *policyv1.PodDisruptionBudget) { p.Status.DisruptedPods = tooMany })), policies: guarded, phase: corev1.PodRunning, code: 403, message: "too many pending evictions not confirmed by PDB controller"},
		"a false condition with a reason, enough healthy":    {pdbs: one(testBudget(0, 4, 3, condition("Whatever", "because of tests"))), policies: all, phase: corev1.PodRunning, ready: true, code: 429, message: "does not allow evicting pods currently (Whatever): because of tests"},
		"a status behind its spec":                           {pdbs: one(testBudget(1, 3, 2, func(p *policyv1.PodDisruptionBudget) { p.Generation, p.Status.ObservedGeneration = 2, 1 })), policies: all, phase: corev1.PodRunning, ready: true, code: 429, message: "is still being processed by the server"},
		"two budgets":                                        {pdbs: []*policyv1.PodDisruptionBudget{testBudget(1, 3, 2, nil), testBudget(1, 3, 2, nil)}, policies: all, phase: corev1.PodRunning, ready: true, code: 500, message: "more than one PodDisruptionBudget"},
		"two budgets, pod pending":                           {pdbs: []*policyv1.PodDisruptionBudget{testBudget(0, 3, 3, nil), testBudget(0, 3, 3, nil)}, policies: all, phase: corev1.PodPending, code: 200},
		"unready and nothing desired does not count as met":  {pdbs: one(testBudget(0, 1, 0, nil)), policies: guarded, phase: corev1.PodRunning, code: 429, message: "does not allow evicting pods currently"},
		"no budget": {policies: all, phase: corev1.PodRunning, ready: true, code: 200},
		"unready, disruptions allowed though the budget is short": {pdbs: one(testBudget(1, 1, 2, nil)), policies: guarded, phase: corev1.PodRunning, code: 200, consumes: true},
	} {
		for _, policy := range test.policies {
			t.Run(name+" with policy "+policy, func(t *testing.T) {
				var pdbs []*policyv1.PodDisruptionBudget
				for _, pdb := range test.pdbs {
					pdb = pdb.DeepCopy()
					if policy != byDefault {
						kind := policyv1.UnhealthyPodEvictionPolicyType(policy)
						pdb.Spec.UnhealthyPodEvictionPolicy = &kind
					}
					pdbs = append(pdbs, pdb)
				}
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default", Labels: map[string]string{"a": "true"}}, Status: corev1.PodStatus{Phase: test.phase}}
				if test.ready {
					pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
				}
				if test.terminating {
					pod.DeletionTimestamp = &metav1.Time{}
					*pod.DeletionTimestamp = metav1.Now()
				}
				got := decide(pod, newBudgets(pdbs).of(pod))
				if got.code != test.code || got.consumes != test.consumes || !strings.Contains(got.message, test.message) {
					t.Errorf("%d %q, consumes %t; want %d %q, consumes %t", got.code, got.message, got.consumes, test.code, test.message, test.consumes)
				}
			})
		}
	}
}

func one(pdb *policyv1.PodDisruptionBudget) []*policyv1.PodDisruptionBudget {
	return []*policyv1.PodDisruptionBudget{pdb}
}
