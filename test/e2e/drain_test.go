//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// regressions are seeds that once found a disagreement.
var regressions = []uint64{}

// drainSeconds is kubectl drain's --timeout: enough for four waves of a budget,
// between which it waits five seconds.
const drainSeconds = 25

// atOnce is how many worlds stand at the same time.
const atOnce = 12

// TestDrainDifferential holds drain-check against what real kubectl drain and
// the real scheduler then do, over random clusters. DRAIN_SEEDS=N runs N of
// them after the saved ones, DRAIN_FIRST=S begins at another seed; each is its
// own world of nodes and a namespace, several at a time on one control plane.
func TestDrainDifferential(t *testing.T) {
	seeds := slices.Clone(regressions)
	number, first := atOnce, uint64(1)
	if text := os.Getenv("DRAIN_SEEDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("DRAIN_SEEDS: %v", err)
		}
		number = n
	}
	if text := os.Getenv("DRAIN_FIRST"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("DRAIN_FIRST: %v", err)
		}
		first = n
	}
	for i := range number {
		seeds = append(seeds, first+uint64(i))
	}
	c := up(t, cmp.Or(os.Getenv("DRAIN_CLUSTER"), "e2e-drain"), "--nodes", "1", "--fast")
	d := &differential{cluster: c, client: c.client(t), counts: map[string]int{}}
	d.priorities(t)
	for batch := range slices.Chunk(seeds, atOnce) {
		var running sync.WaitGroup
		for _, seed := range batch {
			running.Go(func() { d.run(t, seed) })
		}
		running.Wait()
	}
	var told []string
	for what, n := range d.counts {
		told = append(told, fmt.Sprintf("%s: %d", what, n))
	}
	slices.Sort(told)
	t.Logf("%d clusters\n%s", len(seeds), strings.Join(told, "\n"))
}

func (c *testCluster) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// differential runs worlds and counts how they compare.
type differential struct {
	cluster *testCluster
	client  kubernetes.Interface
	mu      sync.Mutex
	counts  map[string]int
}

func (d *differential) count(what string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[what] += n
}

func (d *differential) priorities(t *testing.T) {
	never := corev1.PreemptNever
	for _, class := range []*schedulingv1.PriorityClass{
		{ObjectMeta: metav1.ObjectMeta{Name: "drain-low"}, Value: -10},
		{ObjectMeta: metav1.ObjectMeta{Name: "drain-polite"}, Value: 50, PreemptionPolicy: &never},
		{ObjectMeta: metav1.ObjectMeta{Name: "drain-high"}, Value: 100},
	} {
		if _, err := d.client.SchedulingV1().PriorityClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// run is one world: made, asked about, drained, compared, removed.
func (d *differential) run(t *testing.T, seed uint64) {
	w := newWorld(seed)
	defer d.remove(w)
	fail := func(format string, args ...any) {
		d.count("worlds that disagree or failed", 1)
		t.Errorf("seed %d (%s, kubectl drain %s %s): %s", seed, w.name, strings.Join(w.drain, " "), strings.Join(w.flags, " "), fmt.Sprintf(format, args...))
	}
	if err := d.create(t.Context(), w); err != nil {
		fail("making it: %v", err)
		return
	}
	before, err := d.settled(t.Context(), w)
	if err != nil {
		fail("before: %v", err)
		return
	}
	args := slices.Concat([]string{"prod", "drain-check"}, w.drain, w.flags, []string{"-o", "json"})
	asked := d.cluster.kubectl(t, nil, args...)
	var check report.DrainCheck
	if err := json.Unmarshal([]byte(asked.stdout), &check); err != nil {
		fail("drain-check: exit code %d, %s", asked.code, asked.stderr)
		return
	}
	drained := d.cluster.kubectl(t, nil, slices.Concat([]string{"drain"}, w.drain, w.flags, []string{fmt.Sprintf("--timeout=%ds", drainSeconds)})...)
	after, err := d.settled(t.Context(), w)
	if err != nil {
		fail("after: %v", err)
		return
	}
	d.count("clusters", 1)
	if differences := d.compare(w, &check, before, after, drained); len(differences) > 0 {
		fail("\n  %s\nkubectl drain said (exit code %d):\n%s\npredicted:\n%s", strings.Join(differences, "\n  "), drained.code, drained.stderr,
			d.cluster.kubectl(t, nil, "get", "pods", "-n", w.name, "-o", "wide").stdout+prediction(&check))
	}
}

// create makes the world's objects, and makes a pod of some workloads unready.
func (d *differential) create(ctx context.Context, w *world) error {
	for _, object := range w.objects {
		if err := d.createOne(ctx, w.name, object); err != nil {
			return err
		}
	}
	if _, err := d.settled(ctx, w); err != nil {
		return err
	}
	for _, app := range w.unready {
		pods, err := d.client.CoreV1().Pods(w.name).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			if pod := &pods.Items[i]; pod.Status.Phase == corev1.PodRunning {
				patch := `{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`
				if _, err := d.client.CoreV1().Pods(w.name).Patch(ctx, pod.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// state is a world at rest.
type state struct {
	pods    []corev1.Pod
	budgets []policyv1.PodDisruptionBudget
}

// settled waits until a world has not changed for two seconds, and every pod is
// either on a node and past Pending, or known to fit none.
func (d *differential) settled(ctx context.Context, w *world) (state, error) {
	deadline, patience := time.Now().Add(90*time.Second), time.Now().Add(20*time.Second)
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
		if same >= 5 && busy == "" {
			return s, nil
		}
		if time.Now().After(deadline) {
			return s, fmt.Errorf("no rest in 90 s: %s", busy)
		}
		<-tick.C
	}
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
	return state{pods.Items, budgets.Items}, nil
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
		fmt.Fprintln(&b, budget.Name, budget.Status.CurrentHealthy, budget.Status.DisruptionsAllowed, budget.Status.ExpectedPods, len(budget.Status.DisruptedPods))
	}
	return b.String(), busy
}

// behind names a budget whose status lags behind its pods: the disruption
// controller is seconds late on a busy machine. It is waited for a while and not
// for ever, for the eviction API and drain-check both go by the status.
func (s state) behind() string {
	for i := range s.budgets {
		if why := s.lags(&s.budgets[i]); why != "" {
			return why
		}
	}
	return ""
}

// lags says how a budget's status differs from its pods; one that cannot be
// computed is at rest, with its reason.
func (s state) lags(budget *policyv1.PodDisruptionBudget) string {
	for _, c := range budget.Status.Conditions {
		if c.Type == policyv1.DisruptionAllowedCondition && c.Reason == policyv1.SyncFailedReason {
			return ""
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil || budget.Status.ObservedGeneration < budget.Generation {
		return budget.Name + " is not counted yet"
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

// appOf groups pods that are alike: those of one workload.
func appOf(pod *corev1.Pod) string { return pod.Labels["app"] }

// compare holds what was predicted against what came: of each workload and
// node, how many pods went; of each workload, how many have no node. Within a
// workload nobody can tell which of its pods goes first.
func (d *differential) compare(w *world, check *report.DrainCheck, before, after state, drained result) []string {
	var differences []string
	apps := map[string]string{} // by the pod's name
	ready := map[string]bool{}
	for i := range before.pods {
		apps[before.pods[i].Name] = appOf(&before.pods[i])
		ready[before.pods[i].Name] = podReady(&before.pods[i])
	}
	refusedNodes := map[string]bool{}
	for _, node := range check.Nodes {
		refusedNodes[node.Name] = node.Refused
	}
	type group struct{ app, node string }
	predicted, unready := map[group]int{}, map[string]bool{}
	ordered := false
	for _, pod := range check.Pods {
		if pod.Outcome == report.DrainEvicted && !refusedNodes[pod.Node] {
			predicted[group{apps[pod.Name], pod.Node}]++
		}
		if !ready[pod.Name] {
			unready[apps[pod.Name]] = true
		}
		ordered = ordered || pod.DependsOnOrder
	}
	gone := map[group]int{}
	left := map[types.UID]bool{}
	for i := range after.pods {
		left[after.pods[i].UID] = true
	}
	groups := map[group]bool{}
	for i := range before.pods {
		pod := &before.pods[i]
		if g := (group{appOf(pod), pod.Spec.NodeName}); slices.Contains(w.drain, g.node) {
			groups[g] = true
			if !left[pod.UID] {
				gone[g]++
			}
		}
	}
	d.count("verdict "+string(check.Verdict), 1)
	for _, b := range check.Blockers {
		d.count("blockers of kind "+b.Kind, 1)
	}
	for g := range groups {
		d.count("workloads on drained nodes", 1)
		d.count("pods evicted", gone[g])
		d.count("pods predicted to be evicted", predicted[g])
		switch {
		case predicted[g] == gone[g]:
			d.count("workloads on drained nodes that agree", 1)
		case ordered || len(unready) > 0 && gone[g] > predicted[g]:
			d.count("unknowable: order of scheduling, or whether an unready pod's replacement gets ready", 1)
		default:
			differences = append(differences, fmt.Sprintf("%s on %s: %d evicted, predicted %d", g.app, g.node, gone[g], predicted[g]))
		}
	}
	if len(differences) == 0 && !anyRefused(refusedNodes) {
		differences = append(differences, d.comparePlacement(w, check, apps, after, ordered, len(unready) > 0)...)
	}
	if blocked := len(check.Blockers) > 0; !ordered && len(unready) == 0 && blocked != (drained.code != 0) {
		differences = append(differences, fmt.Sprintf("kubectl drain ended with %d, predicted blocked: %t", drained.code, blocked))
	}
	return differences
}

// prediction is a check for the reader of a failed test.
func prediction(check *report.DrainCheck) string {
	var b strings.Builder
	for _, p := range check.Pods {
		fmt.Fprintf(&b, "  %s on %s: %s in wave %d to %q %q %v preempts %v\n", p.Name, p.Node, p.Outcome, p.Wave, p.To, p.Unplaced, p.Reasons, p.Preempts)
	}
	for _, p := range check.Placement.Waiting {
		fmt.Fprintf(&b, "  %s/%s waits, to %q\n", p.Namespace, p.Name, p.To)
	}
	for _, b2 := range check.Budgets {
		fmt.Fprintf(&b, "  %+v\n", b2)
	}
	return b.String()
}

func anyRefused(nodes map[string]bool) bool {
	for _, refused := range nodes {
		if refused {
			return true
		}
	}
	return false
}

// comparePlacement compares how many pods of each workload have no node.
func (d *differential) comparePlacement(w *world, check *report.DrainCheck, apps map[string]string, after state, ordered, unready bool) []string {
	predicted, pending := map[string]int{}, map[string]int{}
	for _, pod := range check.Pods {
		if pod.Unplaced != "" {
			predicted[apps[pod.Name]]++
		}
	}
	for _, pod := range check.Placement.Waiting {
		if pod.Namespace == w.name && pod.To == "" {
			predicted[apps[pod.Name]]++
		}
	}
	names := map[string]bool{}
	for i := range after.pods {
		names[appOf(&after.pods[i])] = true
		if after.pods[i].Spec.NodeName == "" {
			pending[appOf(&after.pods[i])]++
		}
	}
	var differences []string
	preempts := slices.ContainsFunc(check.Consequences, func(c report.DrainConsequence) bool { return c.Kind == "preemption" })
	for app := range names {
		d.count("workloads placed", 1)
		d.count("pods left without a node", pending[app])
		d.count("pods predicted to have none", predicted[app])
		switch {
		case predicted[app] == pending[app]:
			d.count("workloads placed that agree", 1)
		case ordered || unready || preempts:
			d.count("unknowable: placement by order of scheduling or preemption", 1)
		default:
			differences = append(differences, fmt.Sprintf("%s: %d pods without a node, predicted %d", app, pending[app], predicted[app]))
		}
	}
	return differences
}

// remove takes a world away; the cluster goes with the test.
func (d *differential) remove(w *world) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if os.Getenv("DRAIN_KEEP") != "" {
		return
	}
	_ = d.client.CoreV1().Namespaces().Delete(ctx, w.name, metav1.DeleteOptions{})
	for _, node := range w.nodes {
		_ = d.client.CoreV1().Nodes().Delete(ctx, node.Name, metav1.DeleteOptions{})
	}
}

func (d *differential) createOne(ctx context.Context, namespace string, object runtime.Object) error {
	return createObject(ctx, d.client, namespace, object)
}
