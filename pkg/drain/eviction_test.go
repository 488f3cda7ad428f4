package drain

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
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

// truth is one case of the eviction API: a pod, its budgets, and the answer.
type truth struct {
	// name is the one of the registry's own case, where there is one.
	name     string
	pdb      *policyv1.PodDisruptionBudget
	second   *policyv1.PodDisruptionBudget
	policies []string
	phase    corev1.PodPhase
	ready    bool
	ending   bool
	code     int
	message  string
	consumes bool
}

const (
	byDefault = "nil"
	ifHealthy = string(policyv1.IfHealthyBudget)
	always    = string(policyv1.AlwaysAllow)
)

// registryTruths are the cases of kubernetes' own tests of the eviction API
// (pkg/registry/core/pod/storage/eviction_test.go) under their names and in
// their order, each with the state that its request meets. Where a request
// there meets two states, the pod becoming ready in between, it is the second.
func registryTruths() []truth {
	all, guarded := []string{byDefault, ifHealthy, always}, []string{byDefault, ifHealthy}
	empty := selects(&metav1.LabelSelector{})
	crowd := make(map[string]metav1.Time)
	for i := range 3000 {
		crowd[fmt.Sprint(i)] = metav1.Time{}
	}
	crowded := func(p *policyv1.PodDisruptionBudget) { p.Status.DisruptedPods = crowd }
	const needsNone = "The disruption budget foo needs 0 healthy pods and has 0 currently"
	return []truth{
		{name: "matching pdbs with no disruptions allowed, pod running", pdb: testBudget(0, 0, 0, nil), policies: guarded, phase: corev1.PodRunning, code: 429, message: needsNone},
		{name: "matching pdbs with no disruptions allowed, pod pending", pdb: testBudget(0, 0, 0, nil), policies: all, phase: corev1.PodPending, code: 200},
		{name: "matching pdbs with no disruptions allowed, pod succeeded", pdb: testBudget(0, 0, 0, nil), policies: all, phase: corev1.PodSucceeded, code: 200},
		{name: "matching pdbs with no disruptions allowed, pod failed", pdb: testBudget(0, 0, 0, nil), policies: all, phase: corev1.PodFailed, code: 200},
		{name: "matching pdbs with disruptions allowed", pdb: testBudget(1, 0, 0, nil), policies: all, phase: corev1.PodPending, code: 200},
		{name: "non-matching pdbs", pdb: testBudget(0, 0, 0, selects(&metav1.LabelSelector{MatchLabels: map[string]string{"b": "true"}})), policies: all, phase: corev1.PodPending, code: 200},
		{name: "matching pdbs with no disruptions allowed, pod running, empty selector", pdb: testBudget(0, 0, 0, empty), policies: guarded, phase: corev1.PodRunning, code: 429, message: needsNone},
		{name: "pdbs No disruptions allowed, pod pending, first delete conflict, pod still pending, pod deleted successfully", pdb: testBudget(0, 0, 0, nil), policies: all, phase: corev1.PodPending, code: 200},
		{name: "pdbs No disruptions allowed, pod pending, first delete conflict, pod becomes running, continueToPDBs", pdb: testBudget(0, 0, 0, nil), policies: guarded, phase: corev1.PodRunning, code: 429, message: needsNone},
		{name: "pdbs disruptions allowed, pod pending, first delete conflict, pod becomes running, continueToPDBs", pdb: testBudget(1, 0, 0, nil), policies: guarded, phase: corev1.PodRunning, code: 200, consumes: true},
		{name: "matching pdbs with no disruptions allowed, pod terminating", pdb: testBudget(0, 0, 0, nil), policies: all, phase: corev1.PodRunning, ending: true, code: 200},
		{name: "matching pdbs with no disruptions allowed, pod running, pod healthy, unhealthy pod not ours", pdb: testBudget(0, 2, 2, nil), policies: all, phase: corev1.PodRunning, ready: true, code: 429, message: "The disruption budget foo needs 2 healthy pods and has 2 currently"},
		{name: "matching pdbs with disruptions allowed, pod running, pod healthy, healthy pod ours, deletes pod by honoring the PDB", pdb: testBudget(1, 3, 3, nil), policies: all, phase: corev1.PodRunning, ready: true, code: 200, consumes: true},
		{name: "matching pdbs with no disruptions allowed, pod running, pod unhealthy, unhealthy pod ours", pdb: testBudget(0, 2, 2, nil), policies: all, phase: corev1.PodRunning, code: 200},
		{name: "matching pdbs with no disruptions allowed, pod running, pod unhealthy, unhealthy pod ours, skips the PDB check and deletes", pdb: testBudget(0, 0, 0, nil), policies: []string{always}, phase: corev1.PodRunning, code: 200},
		{name: "matching pdbs with no disruptions allowed, pod running, pod healthy, empty selector, pod not deleted by honoring the PDB", pdb: testBudget(0, 3, 3, empty), policies: all, phase: corev1.PodRunning, ready: true, code: 429, message: "The disruption budget foo needs 3 healthy pods and has 3 currently"},
		{name: "the error is about sync failure when the condition reason is SyncFailedReason", pdb: testBudget(0, 0, 0, both(empty, condition(policyv1.SyncFailedReason, "hoge"))), policies: all, phase: corev1.PodRunning, ready: true, code: 429, message: "The disruption budget foo does not allow evicting pods currently because it failed sync: hoge"},
		{name: "matching pdbs with negative disruptions allowed, pod running", pdb: testBudget(-1, 0, 0, nil), policies: guarded, phase: corev1.PodRunning, code: 403, message: "The disruption budget foo does not allow evicting pods currently: pdb disruptions allowed is negative"},
		{name: "matching pdbs with too many disrupted pods, pod running", pdb: testBudget(1, 0, 0, crowded), policies: guarded, phase: corev1.PodRunning, code: 403, message: "The disruption budget foo does not allow evicting pods currently: too many pending evictions not confirmed by PDB controller"},
		{name: "the error includes the reason when the condition.Status is False", pdb: testBudget(0, 4, 3, both(empty, condition("bar-reason", "hoge"))), policies: all, phase: corev1.PodRunning, ready: true, code: 429, message: "The disruption budget foo does not allow evicting pods currently (bar-reason): hoge"},
		{name: "pdb status is updated after eviction", pdb: testBudget(1, 0, 0, nil), policies: all, phase: corev1.PodRunning, ready: true, code: 200, consumes: true},
		{name: "condition reason is only updated if AllowedDisruptions becomes 0", pdb: testBudget(3, 0, 0, nil), policies: all, phase: corev1.PodRunning, ready: true, code: 200, consumes: true},
	}
}

// ownTruths are what the code of the API says beyond its tests.
func ownTruths() []truth {
	all, guarded := []string{byDefault, ifHealthy, always}, []string{byDefault, ifHealthy}
	return []truth{
		{name: "no budget", policies: all, phase: corev1.PodRunning, ready: true, code: 200},
		{name: "no selector selects nothing", pdb: testBudget(0, 0, 0, selects(nil)), policies: all, phase: corev1.PodRunning, code: 200},
		{name: "a selector that does not parse selects nothing", pdb: testBudget(0, 0, 0, selects(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}})), policies: all, phase: corev1.PodRunning, code: 200},
		{name: "a status behind its spec", pdb: testBudget(1, 3, 2, behind), policies: all, phase: corev1.PodRunning, ready: true, code: 429, message: "The disruption budget foo is still being processed by the server."},
		{name: "a status behind its spec, unready pod, always allowed", pdb: testBudget(0, 1, 2, behind), policies: []string{always}, phase: corev1.PodRunning, code: 200},
		{name: "a status behind its spec, unready pod, budget met", pdb: testBudget(0, 2, 2, behind), policies: guarded, phase: corev1.PodRunning, code: 200},
		{name: "a status behind its spec, unready pod, budget not met", pdb: testBudget(1, 1, 2, behind), policies: guarded, phase: corev1.PodRunning, code: 429, message: "still being processed"},
		{name: "two budgets", pdb: testBudget(1, 3, 2, nil), second: testBudget(1, 3, 2, nil), policies: all, phase: corev1.PodRunning, ready: true, code: 500, message: "more than one PodDisruptionBudget"},
		{name: "two budgets, unready pod", pdb: testBudget(1, 3, 2, nil), second: testBudget(1, 3, 2, nil), policies: all, phase: corev1.PodRunning, code: 500, message: "more than one PodDisruptionBudget"},
		{name: "two budgets, pod pending", pdb: testBudget(0, 3, 3, nil), second: testBudget(0, 3, 3, nil), policies: all, phase: corev1.PodPending, code: 200},
		{name: "two budgets, pod terminating", pdb: testBudget(0, 3, 3, nil), second: testBudget(0, 3, 3, nil), policies: all, phase: corev1.PodRunning, ending: true, code: 200},
		{name: "unready, budget not met", pdb: testBudget(0, 2, 3, nil), policies: guarded, phase: corev1.PodRunning, code: 429, message: "needs 3 healthy pods and has 2 currently"},
		{name: "unready, budget not met, always allowed", pdb: testBudget(0, 2, 3, nil), policies: []string{always}, phase: corev1.PodRunning, code: 200},
		{name: "unready and nothing desired does not count as met", pdb: testBudget(0, 1, 0, nil), policies: guarded, phase: corev1.PodRunning, code: 429, message: "does not allow evicting pods currently"},
		{name: "unready, disruptions allowed though the budget is short", pdb: testBudget(1, 1, 2, nil), policies: guarded, phase: corev1.PodRunning, code: 200, consumes: true},
		{name: "a pod of unknown phase is guarded", pdb: testBudget(0, 3, 3, nil), policies: all, phase: corev1.PodUnknown, ready: true, code: 429, message: "needs 3 healthy pods"},
		{name: "2000 unconfirmed evictions are not too many", pdb: testBudget(1, 3, 2, func(p *policyv1.PodDisruptionBudget) {
			p.Status.DisruptedPods = map[string]metav1.Time{}
			for i := range maxDisruptedPods {
				p.Status.DisruptedPods[fmt.Sprint(i)] = metav1.Time{}
			}
		}), policies: all, phase: corev1.PodRunning, ready: true, code: 200, consumes: true},
	}
}

func both(a, b func(*policyv1.PodDisruptionBudget)) func(*policyv1.PodDisruptionBudget) {
	return func(pdb *policyv1.PodDisruptionBudget) { a(pdb); b(pdb) }
}

func behind(pdb *policyv1.PodDisruptionBudget) { pdb.Generation, pdb.Status.ObservedGeneration = 2, 1 }

// TestTheEvictionAPIsTruthTable holds [decide] to every case, under each policy
// that the case names.
func TestTheEvictionAPIsTruthTable(t *testing.T) {
	for _, test := range append(registryTruths(), ownTruths()...) {
		for _, policy := range test.policies {
			t.Run(test.name+" with policy "+policy, func(t *testing.T) { test.hold(t, policy) })
		}
	}
}

func (test truth) hold(t *testing.T, policy string) {
	var pdbs []*policyv1.PodDisruptionBudget
	for _, pdb := range []*policyv1.PodDisruptionBudget{test.pdb, test.second} {
		if pdb == nil {
			continue
		}
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
	if test.ending {
		now := metav1.Now()
		pod.DeletionTimestamp = &now
	}
	got := decide(pod, newBudgets(pdbs).of(pod))
	if got.code != test.code || got.consumes != test.consumes || !strings.Contains(got.message, test.message) {
		t.Errorf("%d %q, consumes %t; want %d %q, consumes %t", got.code, got.message, got.consumes, test.code, test.message, test.consumes)
	}
	if allowed := test.allows(); got.consumes {
		got.budget.take()
		if got.budget.allowed != allowed-1 {
			t.Errorf("allows %d afterwards, want %d", got.budget.allowed, allowed-1)
		}
	}
}

func (test truth) allows() int32 {
	if test.pdb == nil {
		return 0
	}
	return test.pdb.Status.DisruptionsAllowed
}

// aboutRequests are the registry's cases about the request itself or about what
// happens between two reads, with what that is: from the state of a cluster
// there is nothing to predict.
func aboutRequests() map[string]string {
	const (
		conflict = "another write comes in between; kubectl asks again"
		dryRun   = "options of the request, which kubectl drain does not set"
		deletion = "how the registry deletes, whatever the budgets said"
	)
	return map[string]string{
		"matching pdbs with disruptions allowed but bad name in Url":                                                           "a malformed request",
		"pdbs No disruptions allowed, pod pending, first delete conflict, pod becomes running, skip PDB check, conflict":       conflict,
		"pod pending, always conflict on delete":                                                                               conflict,
		"pod pending, always conflict on delete, user provided ResourceVersion constraint":                                     conflict,
		"matching pdbs with no disruptions allowed, pod running, pod unhealthy, unhealthy pod ours, resource version conflict": conflict,
		"matching pdbs with no disruptions allowed, pod running, pod unhealthy, unhealthy pod ours, other error on delete":     deletion,
		"dry run - just request-options":  dryRun,
		"dry run - just eviction-options": dryRun,
		"dry run - both options":          dryRun,
		"dry run - with pdbs":             dryRun,
		"ignoreStoreReadErrorWithClusterBreakingPotential is set, invalid error expected": dryRun,
		"simple":                  deletion,
		"missing":                 deletion,
		"valid uid":               deletion,
		"invalid uid":             deletion,
		"valid resourceVersion":   deletion,
		"invalid resourceVersion": deletion,
	}
}

// TestTheTruthTableHasEveryCaseOfTheRegistrysTests reads the cases from the
// source of the Kubernetes that this module requires, so that a case that a new
// release brings is noticed.
func TestTheTruthTableHasEveryCaseOfTheRegistrysTests(t *testing.T) {
	where, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(strings.TrimSpace(string(where)), "pkg", "registry", "core", "pod", "storage", "eviction_test.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if pair, ok := n.(*ast.KeyValueExpr); ok {
			key, _ := pair.Key.(*ast.Ident)
			value, _ := pair.Value.(*ast.BasicLit)
			if key != nil && key.Name == "name" && value != nil {
				name, err := strconv.Unquote(value.Value)
				if err != nil {
					t.Fatal(err)
				}
				theirs[name] = true
			}
		}
		return true
	})
	ours := aboutRequests()
	for _, test := range registryTruths() {
		ours[test.name] = "held"
	}
	for name := range theirs {
		if ours[name] == "" {
			t.Errorf("the registry's case %q is not held", name)
		}
	}
	for name := range ours {
		if !theirs[name] {
			t.Errorf("the registry has no case %q", name)
		}
	}
}
