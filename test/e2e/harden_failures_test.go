//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// TestHardenFailures puts something in harden's way at every step, on a real API
// server: each change is refused, rolled back or found by the next run, and the
// cluster is as before or as consented, never in between.
func TestHardenFailures(t *testing.T) {
	t.Parallel()
	c := up(t, "e2e-harden-failures", "--nodes", "3")
	a := newApplier(t, c)
	for _, m := range modules() {
		if strings.HasSuffix(m.path, "/argo-rollouts") {
			a.definitions(t, filepath.Join(m.download(t), m.definitions))
		}
	}
	a.established(t, schema.GroupKind{Group: "argoproj.io", Kind: "Rollout"})
	t.Run("each in a namespace of its own", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *victim){
			"a webhook that denies":                   deniedByWebhook,
			"a webhook that denies the write alone":   deniedLate,
			"a webhook that does not answer":          unansweredWebhook,
			"a webhook that takes the change back":    mutatedBack,
			"pods that are denied when they are made": deniedPods,
			"a spread that no node satisfies":         unschedulableSpread,
			"a quota that fills up meanwhile":         fullQuota,
			"a budget that allows nothing":            uselessBudget,
			"a kill at every step":                    killedAnywhere,
			"signals":                                 signalled,
			"an object that is deleted meanwhile":     deletedMeanwhile,
			"a field that cannot be changed":          immutableField,
			"workloads that are not fit":              unfitWorkloads,
			"pods that violate a label meanwhile":     labelDisputed,
			"workloads of other controllers":          madeByOthers,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, newVictim(t, c))
			})
		}
	})
	t.Run("an API server that starts anew between journal and write", func(t *testing.T) { restarted(t, newVictim(t, c)) })
	t.Run("kube-system is left alone unless it is named", func(t *testing.T) { leavesPlatform(t, newVictim(t, c)) })
}

// victim is a namespace with a Deployment that harden would mend.
type victim struct {
	*hardened
	namespace string
	before    string
}

const victimManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  replicas: 2
  progressDeadlineSeconds: 20
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: web, image: prod.test/web:1.0, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %[1]s}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`

func newVictim(t *testing.T, c *testCluster) *victim {
	t.Helper()
	name := t.Name()[strings.LastIndex(t.Name(), "/")+1:]
	v := &victim{hardened: &hardened{testCluster: c, state: t.TempDir()}, namespace: strings.ToLower(strings.ReplaceAll(name, "_", "-"))}
	manifest := filepath.Join(t.TempDir(), "victim.yaml")
	writeFile(t, manifest, fmt.Sprintf(victimManifest, v.namespace))
	v.must(t, "apply", "-f", manifest)
	v.must(t, "rollout", "status", "deployment/web", "-n", v.namespace, "--timeout=60s")
	v.before = v.spec(t)
	return v
}

func (v *victim) spec(t *testing.T) string {
	t.Helper()
	return v.must(t, "get", "deployment,pdb,networkpolicy", "-n", v.namespace, "-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.labels} {.spec}{"\n"}{end}`) +
		v.must(t, "get", "namespace", v.namespace, "-o", "jsonpath={.metadata.labels}")
}

// asBefore holds that nothing of a change is left, in the cluster or open in the
// journal.
func (v *victim) asBefore(t *testing.T) {
	t.Helper()
	if now := v.spec(t); now != v.before {
		t.Errorf("it is\n%s\nand was\n%s", now, v.before)
	}
	if open := v.journal(t, "intended", "written", "undoing", "stuck"); len(open) > 0 {
		t.Errorf("the journal has it open: %+v", open)
	}
}

// journal are the changes that harden history has in one of some states.
func (v *victim) journal(t *testing.T, states ...string) []report.HardenRecord {
	t.Helper()
	history := &report.HardenHistory{}
	if r := v.harden(t, "history", "-o", "json"); json.Unmarshal([]byte(r.stdout), history) != nil {
		t.Fatalf("no history: %s%s", r.stdout, r.stderr)
	}
	return slices.DeleteFunc(history.Items, func(r report.HardenRecord) bool { return !slices.Contains(states, r.State) })
}

// fix is a run that changes the pod template.
func (v *victim) fix(more ...string) []string {
	return append([]string{"deployment/web", "-n", v.namespace, "--fix", "service-account-default", "--soak", "0s"}, more...)
}

// comesTo runs harden with --yes on the one change, and holds what comes of it.
func (v *victim) comesTo(t *testing.T, kubeconfig string, state report.HardenState, want string) {
	t.Helper()
	r := v.kubectl(t, []string{"XDG_STATE_HOME=" + v.state, "KUBECONFIG=" + kubeconfig}, append([]string{"prod", "harden", "-o", "json"}, v.fix("--yes")...)...)
	plan := &report.Hardening{}
	if err := json.Unmarshal([]byte(r.stdout), plan); err != nil || len(plan.Changes) != 1 {
		t.Fatalf("exit code %d: %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	c := plan.Changes[0]
	if code := map[bool]int{true: 0, false: 1}[state == report.Applied]; r.code != code || c.State != state || !strings.Contains(c.StateReason, want) {
		t.Errorf("exit code %d: %s: %s\nwant %s: %s\n%s", r.code, c.State, c.StateReason, state, want, r.stderr)
	}
	t.Logf("%s: %s", c.State, c.StateReason)
}

func unschedulableSpread(t *testing.T, v *victim) {
	const constraint = "topologySpreadConstraints: [{maxSkew: 1, topologyKey: rack, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]"
	s := v.at(t, v.kubeconfig, []string{"EDITOR=sed -i 's/automountServiceAccountToken: .*/" + constraint + "/'", "KUBE_EDITOR="}, v.fix()...)
	s.answer("e")
	s.answer("y")
	s.await("Unschedulable")
	s.await("1 rolled back")
	if code := s.end(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	v.asBefore(t)
}

// atWrite is the cluster behind a recorder that calls a function before the nth
// PATCH that writes is served, which says whether it is to be, and after.
func (v *victim) atWrite(t *testing.T, nth int, before func() bool, after func()) *recorder {
	t.Helper()
	r := v.record(t)
	var mu sync.Mutex
	writes := 0
	r.between = func(request *http.Request, serve func()) {
		if request.Method != http.MethodPatch || request.URL.Query().Has("dryRun") {
			serve()
			return
		}
		mu.Lock()
		writes++
		now := writes == nth
		mu.Unlock()
		if now && before != nil && !before() {
			return
		}
		serve()
		if now && after != nil {
			after()
		}
	}
	return r
}

// fillQuota leaves no room for one more pod; what is written then goes wrong.
func (v *victim) fillQuota(t *testing.T) {
	t.Helper()
	v.must(t, "create", "quota", "full", "-n", v.namespace, "--hard=pods=2")
	eventually(t, 30*time.Second, func() error {
		if used := v.must(t, "get", "quota", "full", "-n", v.namespace, "-o", "jsonpath={.status.used.pods}"); used != "2" {
			return errNotYet(used)
		}
		return nil
	})
}

func fullQuota(t *testing.T, v *victim) {
	r := v.atWrite(t, 1, func() bool { v.fillQuota(t); return true }, nil)
	v.comesTo(t, r.kubeconfig, report.RolledBack, "exceeded quota: full")
	v.asBefore(t)
}

// uselessBudget: the pods become unready at the moment in which a budget is made,
// so that it allows no eviction; and in the middle of a rollout none is made.
func uselessBudget(t *testing.T, v *victim) {
	r := v.record(t)
	r.between = func(request *http.Request, serve func()) {
		if request.Method == http.MethodPost && strings.HasSuffix(request.URL.Path, "/poddisruptionbudgets") && !request.URL.Query().Has("dryRun") {
			for pod := range strings.FieldsSeq(v.must(t, "get", "pods", "-n", v.namespace, "-o", "name")) {
				v.must(t, "patch", pod, "-n", v.namespace, "--subresource=status", "-p", `{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`)
			}
		}
		serve()
	}
	result := v.kubectl(t, []string{"XDG_STATE_HOME=" + v.state, "KUBECONFIG=" + r.kubeconfig}, "prod", "harden", "deployment/web", "-n", v.namespace, "--fix", "pdb-missing", "--yes", "--soak", "0s")
	if result.code != 1 || !strings.Contains(result.stderr, "allows no eviction: 0 of 2 pods are healthy") || !strings.Contains(result.stderr, "rolled back: everything is as it was before") {
		t.Errorf("exit code %d: %s", result.code, result.stderr)
	}
	v.asBefore(t)
	v.must(t, "set", "image", "deployment/web", "-n", v.namespace, "web=prod.test/web:2.0")
	v.must(t, "patch", "deployment", "web", "-n", v.namespace, "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"nowhere":"here"}}}}}`)
	plan, _ := v.plan(t, "deployment/web", "-n", v.namespace, "--fix", "pdb-missing", "--yes", "--soak", "0s")
	if c := plan.Changes[0]; c.State != report.Refused || !strings.Contains(c.StateReason, "a rollout is in progress") {
		t.Errorf("%s: %s", c.State, c.StateReason)
	}
}

// killedAnywhere kills harden while it watches a write that is well, and before
// and after the write that rolls a bad one back; the next run ends what it began.
func killedAnywhere(t *testing.T, v *victim) {
	for _, step := range []struct {
		name          string
		nth           int
		bad, after    bool
		told, journal string
	}{
		{"watching", 1, false, true, "is well", "verified"},
		{"before it is rolled back", 2, true, false, "everything is as it was before it", "rolled back"},
		{"after it is rolled back", 2, true, true, "everything is as it was before it", "undone"},
	} {
		v.state = t.TempDir()
		processes := make(chan *os.Process, 1)
		r := v.atWrite(t, step.nth, func() bool {
			if !step.after {
				_ = (<-processes).Kill()
			}
			return step.after
		}, func() { _ = (<-processes).Kill() })
		if between := r.between; step.bad {
			var once sync.Once
			r.between = func(request *http.Request, serve func()) {
				if request.Method == http.MethodPatch && !request.URL.Query().Has("dryRun") {
					once.Do(func() { v.fillQuota(t) })
				}
				between(request, serve)
			}
		}
		s := v.at(t, r.kubeconfig, nil, v.fix("--yes", "--soak", "5s")...)
		processes <- s.command.Process
		if code := s.end(); code != -1 {
			t.Fatalf("%s: it was not killed: exit code %d\n%s", step.name, code, s.said())
		}
		if step.bad {
			v.must(t, "delete", "quota", "full", "-n", v.namespace)
		}
		next := v.harden(t, "-n", v.namespace, "--fix", "pdb-unhealthy-policy", "--yes", "--soak", "0s")
		if next.code != 0 || !strings.Contains(next.stderr, step.told) {
			t.Errorf("%s: the next run ends with %d and tells %q, want %q", step.name, next.code, next.stderr, step.told)
		}
		if len(v.journal(t, step.journal)) != 1 {
			t.Errorf("%s: the journal should have it as %s:\n%s", step.name, step.journal, v.harden(t, "history").stdout)
		}
		if !step.bad {
			if undone := v.harden(t, "undo", "--last"); undone.code != 0 {
				t.Errorf("%s: exit code %d: %s", step.name, undone.code, undone.stderr)
			}
		}
		v.asBefore(t)
		v.must(t, "rollout", "status", "deployment/web", "-n", v.namespace, "--timeout=60s")
	}
}

// signalled interrupts harden at a prompt, while it watches, and while it rolls
// back.
func signalled(t *testing.T, v *victim) {
	// Where nohup runs the tests, their children would ignore SIGHUP too, and
	// harden heeds that; a signal that is handled they do not inherit.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(handled) })
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM} {
		v.state = t.TempDir()
		s := v.at(t, v.kubeconfig, nil, v.fix()...)
		s.await(prompt)
		_ = s.command.Process.Signal(sig)
		if code := s.end(); code != 130 {
			t.Errorf("%s at the prompt: exit code %d\n%s", sig, code, s.said())
		}
		v.asBefore(t)

		processes := make(chan *os.Process, 1)
		r := v.atWrite(t, 1, nil, func() { _ = (<-processes).Signal(sig) })
		s = v.at(t, r.kubeconfig, nil, v.fix("--yes", "--soak", "30s")...)
		processes <- s.command.Process
		if code := s.end(); code != 130 {
			t.Errorf("%s while it watches: exit code %d\n%s", sig, code, s.said())
		}
		if len(v.journal(t, "written")) != 1 {
			t.Errorf("%s: the journal does not have the write:\n%s", sig, v.harden(t, "history").stdout)
		}
		if r := v.harden(t, "undo", "--last"); r.code != 0 {
			t.Errorf("exit code %d: %s", r.code, r.stderr)
		}
		v.asBefore(t)

		r = v.atWrite(t, 1, func() bool { v.fillQuota(t); return true }, nil)
		first := r.between
		second := make(chan *os.Process, 1)
		writes := 0
		r.between = func(request *http.Request, serve func()) {
			if request.Method == http.MethodPatch && !request.URL.Query().Has("dryRun") {
				if writes++; writes == 2 {
					_ = (<-second).Signal(sig)
				}
			}
			first(request, serve)
		}
		s = v.at(t, r.kubeconfig, nil, v.fix("--yes")...)
		second <- s.command.Process
		s.end()
		v.must(t, "delete", "quota", "full", "-n", v.namespace)
		if len(v.journal(t, "rolled back")) == 0 {
			t.Errorf("%s ended a rollback:\n%s\n%s", sig, v.harden(t, "history").stdout, s.said())
		}
		v.asBefore(t)
		v.must(t, "rollout", "status", "deployment/web", "-n", v.namespace, "--timeout=60s")
	}
}

func deletedMeanwhile(t *testing.T, v *victim) {
	s := v.at(t, v.kubeconfig, nil, v.fix()...)
	s.await(prompt)
	v.must(t, "delete", "deployment", "web", "-n", v.namespace)
	if _, err := io.WriteString(s.tty, "y\n"); err != nil {
		t.Fatal(err)
	}
	if code := s.end(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	s.await("was deleted meanwhile")
	if open := v.journal(t, "intended", "written", "undoing"); len(open) > 0 {
		t.Errorf("the journal has it open: %+v", open)
	}
}

func immutableField(t *testing.T, v *victim) {
	s := v.at(t, v.kubeconfig, []string{"EDITOR=sed -i 's/^spec:/spec:\\n  selector: {matchLabels: {app: other}}/'", "KUBE_EDITOR="}, v.fix()...)
	s.answer("e")
	s.await("refused")
	if code := s.end(); code != 1 {
		t.Errorf("exit code %d\n%s", code, s.said())
	}
	s.await("field is immutable")
	v.asBefore(t)
}

func unfitWorkloads(t *testing.T, v *victim) {
	v.must(t, "rollout", "pause", "deployment/web", "-n", v.namespace)
	v.comesTo(t, v.kubeconfig, report.Refused, "it is paused")
	v.must(t, "rollout", "resume", "deployment/web", "-n", v.namespace)
	v.must(t, "rollout", "status", "deployment/web", "-n", v.namespace, "--timeout=60s")
	for pod := range strings.FieldsSeq(v.must(t, "get", "pods", "-n", v.namespace, "-o", "name")) {
		v.must(t, "patch", pod, "-n", v.namespace, "--subresource=status", "-p", `{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`)
	}
	eventually(t, 30*time.Second, func() error {
		if available := v.must(t, "get", "deployment", "web", "-n", v.namespace, "-o", "jsonpath={.status.availableReplicas}"); available != "" && available != "0" {
			return errNotYet(available)
		}
		return nil
	})
	v.comesTo(t, v.kubeconfig, report.Refused, "it is degraded (0 of 2 pods are available")
	v.asBefore(t)
}

// labelDisputed: between the plan and the write somebody starts a privileged pod,
// which the API server sees when it tries the label.
func labelDisputed(t *testing.T, v *victim) {
	fix := []string{"prod", "harden", "namespace/" + v.namespace, "--fix", "pod-security-label-unset", "--yes", "-o", "json"}
	r := v.record(t)
	var once sync.Once
	r.between = func(request *http.Request, serve func()) {
		if request.Method == http.MethodPatch && strings.Contains(request.URL.Path, "/namespaces/") && request.Header.Get("Content-Type") == "application/json-patch+json" {
			once.Do(func() { v.must(t, "run", "debug", "-n", v.namespace, "--image=x", "--privileged") })
		}
		serve()
	}
	result := v.kubectl(t, []string{"XDG_STATE_HOME=" + v.state, "KUBECONFIG=" + r.kubeconfig}, fix...)
	if result.code != 1 || !strings.Contains(result.stdout, "looks at the pods that are there now, does not agree: existing pods in namespace") || !strings.Contains(result.stdout, "debug: ") {
		t.Errorf("exit code %d: %s%s", result.code, result.stdout, result.stderr)
	}
	v.asBefore(t)
	v.must(t, "delete", "pod", "debug", "-n", v.namespace, "--force", "--grace-period=0")
	if result := v.kubectl(t, []string{"XDG_STATE_HOME=" + v.state}, fix...); result.code != 0 {
		t.Errorf("without the pod: exit code %d: %s%s", result.code, result.stdout, result.stderr)
	}
	if labels := v.must(t, "get", "namespace", v.namespace, "-o", "jsonpath={.metadata.labels}"); !strings.Contains(labels, `"pod-security.kubernetes.io/enforce":"baseline"`) {
		t.Errorf("labels %s", labels)
	}
}

// madeByOthers: a custom resource with a pod template, and a Deployment that one
// of them owns.
func madeByOthers(t *testing.T, v *victim) {
	a := newApplier(t, v.testCluster)
	file := filepath.Join(t.TempDir(), "rollout.yaml")
	writeFile(t, file, fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: canary, namespace: %[1]s}
spec:
  replicas: 1
  selector: {matchLabels: {app: canary}}
  strategy: {canary: {}}
  template:
    metadata: {labels: {app: canary}}
    spec: {containers: [{name: canary, image: "prod.test/web:1.0"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: made, namespace: %[1]s, ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: canary, controller: true}]}
spec:
  selector: {matchLabels: {app: made}}
  template:
    metadata: {labels: {app: made}}
    spec: {containers: [{name: made, image: "prod.test/web:1.0"}]}
`, v.namespace))
	a.applyFile(t, file)
	plan, _ := v.plan(t, "-n", v.namespace, "--fix", "service-account-default", "--dry-run=server")
	told := map[string]string{}
	for _, u := range plan.Unsafe {
		told[u.Object.Kind+" "+u.Object.Name] = u.Reason
	}
	for _, c := range plan.Changes {
		if c.Object.Name != "web" {
			t.Errorf("it would write %s on %+v", c.Practice, c.Object)
		}
	}
	t.Logf("%v", told)
	if len(told) == 0 || !strings.Contains(told["Rollout canary"], "custom resource") && !strings.Contains(told["Rollout canary"], "Rollout canary makes it") {
		t.Errorf("refused: %v", told)
	}
}

// restarted ends the API server when the journal has the change and the write is
// on its way, and starts it again.
func restarted(t *testing.T, v *victim) {
	tool, err := filepath.Abs(filepath.Join(root, "bin", "test-cluster"))
	if err != nil {
		t.Fatal(err)
	}
	var repair sync.WaitGroup
	r := v.atWrite(t, 1, func() bool {
		pid := v.process(t, "kube-apiserver")
		if pid <= 1 {
			return true
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		if len(v.journal(t, "intended")) != 1 {
			t.Error("the journal does not have the write that is on its way")
		}
		repair.Go(func() {
			if err := bringUp(tool, "e2e-harden-failures", "--nodes", "3"); err != nil { // repairs
				t.Error(err)
			}
		})
		return true
	}, nil)
	v.comesTo(t, r.kubeconfig, report.Applied, "")
	repair.Wait()
	if len(v.journal(t, "verified")) != 1 {
		t.Errorf("the journal:\n%s", v.harden(t, "history").stdout)
	}
	if v.spec(t) == v.before {
		t.Error("nothing was written")
	}
	if r := v.harden(t, "undo", "--last"); r.code != 0 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	v.asBefore(t)
}

// process is the id of one of the cluster's programs, as test/cluster notes it.
func (c *testCluster) process(t *testing.T, program string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(c.kubeconfig), "pids", program+".json"))
	if err != nil {
		t.Error(err)
	}
	var record struct{ PID int }
	if err := json.Unmarshal(text, &record); err != nil || record.PID <= 1 {
		t.Errorf("%v: %s", err, text)
	}
	return record.PID
}

func leavesPlatform(t *testing.T, v *victim) {
	manifest := filepath.Join(t.TempDir(), "platform.yaml")
	writeFile(t, manifest, strings.SplitN(strings.ReplaceAll(fmt.Sprintf(victimManifest, "kube-system"), "name: web,", "name: e2e-platform,"), "---", 2)[1])
	v.must(t, "apply", "-f", manifest)
	v.must(t, "rollout", "status", "deployment/e2e-platform", "-n", "kube-system", "--timeout=60s")
	plan, _ := v.plan(t, "--fix", "service-account-default", "--dry-run=server")
	for _, c := range plan.Changes {
		if c.Object.Namespace == "kube-system" {
			t.Errorf("unasked it would write %+v", c.Object)
		}
	}
	if plan.Platform == 0 {
		t.Error("it does not tell that the platform is left alone")
	}
	named, _ := v.plan(t, "deployment/e2e-platform", "-n", "kube-system", "--fix", "service-account-default", "--dry-run=server")
	if named.Count(report.Proposed) != 1 {
		t.Errorf("named, it proposes %+v, %+v", named.Changes, named.Unsafe)
	}
	v.must(t, "delete", "-f", manifest)
}
