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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// saved is a seed that found something, with what that was.
type saved struct {
	seed   uint64
	reason string
}

// regressions are the seeds that every run of the test holds again.
func regressions() []saved {
	return []saved{
		{17, "a waiting pod had its device reserved: taking its place back crashed the scheduler's plugin"},
		{28, "the replacement of a StatefulSet's pod comes after others, whatever its priority"},
	}
}

// brief are seeds whose worlds come to rest within a minute, in some of which a
// drain is safe, blocked, or breaks something: those of every run. `make
// differential` takes them as they come, and some rest for minutes.
func brief() []uint64 { return []uint64{1, 3, 6, 7, 8, 11, 12} }

const (
	// drainSeconds is kubectl drain's --timeout: enough for four waves of a
	// budget, between which it waits five seconds.
	drainSeconds = 25
	// atOnce is how many worlds stand at the same time.
	atOnce = 12
)

// TestDrainDifferential holds drain-check against what real kubectl drain and
// the real scheduler then do, over random clusters: the saved ones, and some brief
// ones or, with DRAIN_SEEDS=N, N from DRAIN_FIRST=S (1) on; each is its
// own world of nodes and a namespace, several at a time on one control plane.
// Each prints its line when it is done, so that a run that was cut is evidence.
func TestDrainDifferential(t *testing.T) {
	t.Parallel() // it mostly waits for drains
	many, first := fromEnv(t, "DRAIN_SEEDS", 0), uint64(fromEnv(t, "DRAIN_FIRST", 1))
	var seeds []uint64
	for _, s := range regressions() {
		t.Logf("seed %d is kept: %s", s.seed, s.reason)
		seeds = append(seeds, s.seed)
	}
	if many == 0 {
		seeds = append(seeds, brief()...)
	}
	for i := range many {
		if seed := first + uint64(i); !slices.Contains(seeds, seed) {
			seeds = append(seeds, seed)
		}
	}
	c := up(t, cmp.Or(os.Getenv("DRAIN_CLUSTER"), "e2e-drain"), "--nodes", "1", "--fast")
	d := newDifferential(t, c)
	var running sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, seed := range seeds {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			d.run(t, newWorld(seed, ""))
		})
	}
	running.Wait()
	t.Logf("%d seeds\n%s", len(seeds), d.totals())
}

// TestDrainDifferentialOnARealNode does the same where the first node of each
// world, one world after the other, is a real one with a kubelet.
func TestDrainDifferentialOnARealNode(t *testing.T) {
	many := fromEnv(t, "DRAIN_NODE_SEEDS", 0)
	if many == 0 {
		t.Skip("DRAIN_NODE_SEEDS is not set: make differential-node sets it")
	}
	drainsOnNode(t, up(t, "e2e-drain-node", "--node", "--nodes", "1"), uint64(fromEnv(t, "DRAIN_FIRST", 1)), many)
}

// drainsOnNode holds drain-check against real drains of worlds whose first node
// is the cluster's real one.
func drainsOnNode(t *testing.T, c *testCluster, first uint64, many int) {
	d := newDifferential(t, c)
	machine := strings.TrimSpace(c.must(t, "get", "nodes", "-l", "node-role.kubernetes.io/control-plane", "-o", "jsonpath={.items[0].metadata.name}"))
	for i := range many {
		d.run(t, newWorld(first+uint64(i), machine))
	}
	t.Logf("%d seeds on a real node\n%s", many, d.totals())
}

func fromEnv(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// differential runs worlds and counts how they compare.
type differential struct {
	cluster *testCluster
	client  kubernetes.Interface
	mu      sync.Mutex
	counts  map[string]int
	failed  []string
}

func newDifferential(t *testing.T, c *testCluster) *differential {
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
	outside(t, client)
	return &differential{cluster: c, client: client, counts: map[string]int{}}
}

// fail notes why a world failed, to be told again under the totals: what is told
// in the middle of a long log is what a reader of its end does not see.
func (d *differential) fail(w *world, why string) {
	d.add(map[string]int{"clusters": 1, "clusters that disagree or failed": 1})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = append(d.failed, fmt.Sprintf("seed %d: %s", w.seed, why))
}

// add notes counts and returns how many worlds there were so far.
func (d *differential) add(counts map[string]int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for what, n := range counts {
		d.counts[what] += n
	}
	return d.counts["clusters"]
}

func (d *differential) totals() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var told []string
	for what, n := range d.counts {
		told = append(told, fmt.Sprintf("%s: %d", what, n))
	}
	slices.Sort(told)
	return strings.Join(slices.Concat(told, d.failed), "\n")
}

// run is one world: made, asked about, drained, compared, removed.
func (d *differential) run(t *testing.T, w *world) {
	defer d.remove(w)
	started := time.Now()
	fail := func(format string, args ...any) {
		why := fmt.Sprintf(format, args...)
		d.fail(w, why)
		t.Errorf("seed %d (%s, kubectl drain %s %s): %s", w.seed, w.name, strings.Join(w.drain, " "), strings.Join(w.flags, " "), why)
	}
	before, err := d.make(t.Context(), w)
	if err != nil {
		fail("making it: %v", err)
		return
	}
	asked := d.cluster.kubectl(t, nil, slices.Concat([]string{"prod", "drain-check"}, w.drain, w.flags, []string{"-o", "json"})...)
	var check report.DrainCheck
	if err := json.Unmarshal([]byte(asked.stdout), &check); err != nil {
		fail("drain-check: exit code %d, %s", asked.code, asked.stderr)
		return
	}
	timeout := fmt.Sprintf("--timeout=%ds", max(drainSeconds, check.Duration.Waves*7))
	drained := d.cluster.kubectl(t, nil, slices.Concat([]string{"drain"}, w.drain, w.flags, []string{timeout})...)
	after, err := d.settled(t.Context(), w)
	if err != nil {
		fail("after: %v", err)
		return
	}
	c := newComparison(w, &check, before, after, drained)
	if len(c.differences) > 0 {
		fail("\n  %s\nkubectl drain said (exit code %d):\n%s\npredicted:\n%s", strings.Join(c.differences, "\n  "), drained.code, drained.stderr,
			d.cluster.kubectl(t, nil, "get", "pods", "-n", w.name, "-o", "wide").stdout+prediction(&check)+"budgets before:\n"+before.counted()+"budgets after:\n"+after.counted())
		return
	}
	c.counts["clusters"] = 1
	t.Logf("%3d seed %d: %s", d.add(c.counts), w.seed, c.line(time.Since(started)))
}

// make creates the world and lets it come to rest.
func (d *differential) make(ctx context.Context, w *world) (state, error) {
	if err := d.adopt(ctx, w); err != nil {
		return state{}, err
	}
	for _, object := range w.objects {
		if err := createObject(ctx, d.client, w.name, object); err != nil {
			return state{}, err
		}
	}
	if _, err := d.settled(ctx, w); err != nil {
		return state{}, err
	}
	if err := d.finish(ctx, w); err != nil {
		return state{}, err
	}
	if err := d.freeze(ctx, w); err != nil {
		return state{}, err
	}
	return d.settled(ctx, w)
}

// adopt makes the real node the world's own, as the simulated ones are.
func (d *differential) adopt(ctx context.Context, w *world) error {
	if w.machine == "" {
		return nil
	}
	patch := fmt.Sprintf(`{"metadata":{"labels":{"world":%q}},"spec":{"unschedulable":null,"taints":[{"key":"world","value":%q,"effect":"NoSchedule"}]}}`, w.name, w.name)
	_, err := d.client.CoreV1().Nodes().Patch(ctx, w.machine, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// remove takes a world away; the cluster goes with the test.
func (d *differential) remove(w *world) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if os.Getenv("DRAIN_KEEP") != "" {
		return
	}
	_ = d.client.CoreV1().Namespaces().Delete(ctx, w.name, metav1.DeleteOptions{})
	_ = d.client.StorageV1().StorageClasses().Delete(ctx, w.localClass(), metav1.DeleteOptions{})
	for _, node := range w.nodes {
		_ = d.client.ResourceV1().ResourceSlices().Delete(ctx, node.Name, metav1.DeleteOptions{})
		if node.Name != w.machine {
			_ = d.client.CoreV1().Nodes().Delete(ctx, node.Name, metav1.DeleteOptions{})
		}
	}
}
