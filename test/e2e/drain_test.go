//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// TestDrainCheck asks about drains as a person does, follows real ones, and
// puts bad questions.
func TestDrainCheck(t *testing.T) {
	c := up(t, "e2e-drain-check")
	c.must(t, "apply", "-f", filepath.Join("testdata", "drain", "cluster.yaml"))
	eventually(t, 2*time.Minute, func() error {
		for _, workload := range []string{"deployment/free", "deployment/cart", "statefulset/database"} {
			if ready := c.must(t, "get", "-n", "drains", workload, "-o", "jsonpath={.status.readyReplicas}"); ready == "" || ready == "0" {
				return fmt.Errorf("%s is not ready", workload)
			}
		}
		if allowed := c.must(t, "get", "-n", "drains", "poddisruptionbudget/cart", "-o", "jsonpath={.status.currentHealthy}"); allowed != "2" {
			return fmt.Errorf("the budget counts %q", allowed)
		}
		return nil
	})
	c.must(t, "delete", "pod", "-n", "drains", "stuck", "--wait=false")
	broker(t, c)
	t.Run("questions", func(t *testing.T) {
		for name, test := range questions() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test.ask(t, c)
			})
		}
	})
	t.Run("formats", func(t *testing.T) { drainFormats(t, c) })
	t.Run("a plan is the same each time", func(t *testing.T) { samePlan(t, c) })
	t.Run("a watch follows a real drain until its budget is released", func(t *testing.T) { followDrain(t, c) })
	t.Run("a pod that should have ended long ago", func(t *testing.T) { stuckPod(t, c) })
	t.Run("a cluster without a schedulable node", func(t *testing.T) { nothingSchedulable(t, c) })
}

// broker makes a pod that a custom resource owns, and one on the silent node
// that its kubelet once ran.
func broker(t *testing.T, c *testCluster) {
	t.Helper()
	dir := t.TempDir()
	own, pod := filepath.Join(dir, "broker.yaml"), filepath.Join(dir, "pod.yaml")
	writeFile(t, own, "apiVersion: drain.test/v1\nkind: Broker\nmetadata: {name: one, namespace: drains}\n")
	eventually(t, time.Minute, func() error {
		if r := c.kubectl(t, nil, "apply", "-f", own); r.code != 0 {
			return errors.New(r.stderr)
		}
		return nil
	})
	uid := c.must(t, "get", "broker", "one", "-n", "drains", "-o", "jsonpath={.metadata.uid}")
	writeFile(t, pod, `apiVersion: v1
kind: Pod
metadata: {name: broker-0, namespace: drains, ownerReferences: [{apiVersion: drain.test/v1, kind: Broker, name: one, uid: `+uid+`, controller: true}]}
spec: {nodeName: worker-c2, containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: lost, namespace: drains, ownerReferences: [{apiVersion: drain.test/v1, kind: Broker, name: one, uid: `+uid+`, controller: true}]}
spec: {nodeName: silent, containers: [{name: app, image: app}]}
`)
	c.must(t, "apply", "-f", pod)
	c.must(t, "patch", "pod", "lost", "-n", "drains", "--subresource=status", "-p", `{"status":{"phase":"Running"}}`)
}

// drainQuestion is one question, and what its answer has to say.
type drainQuestion struct {
	args   string
	code   int
	stdout []string
	stderr string // part of its one line; "" is none
}

func (q drainQuestion) ask(t *testing.T, c *testCluster) {
	r := c.kubectl(t, nil, append([]string{"prod", "drain-check"}, strings.Fields(q.args)...)...)
	t.Logf("kubectl prod drain-check %s\n%s%s(exit code %d)", q.args, r.stdout, r.stderr, r.code)
	if r.code != q.code {
		t.Errorf("exit code %d, want %d", r.code, q.code)
	}
	for _, text := range q.stdout {
		if !strings.Contains(unwrapped(r.stdout), text) {
			t.Errorf("does not say %q", text)
		}
	}
	if !strings.Contains(r.stderr, q.stderr) || strings.Count(r.stderr, "\n") > 1 || q.stderr == "" && r.stderr != "" {
		t.Errorf("on stderr %q, want %q", r.stderr, q.stderr)
	}
}

// unwrapped is a text with one space between two words.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }

func questions() map[string]drainQuestion {
	return map[string]drainQuestion{
		"a free node is safe": {
			args: "worker-c1 --ignore-daemonsets", code: 0, stdout: []string{"SAFE node worker-c1", "kubectl drain worker-c1 --ignore-daemonsets"},
		},
		"a budget in the way": {
			args: "worker-a1", code: 1, stdout: []string{"BLOCKED node worker-a1", "minAvailable 2: 2 of 2 pods healthy, 2 needed, allows 0", "kubectl -n drains scale deployment cart --replicas=3"},
		},
		"a node that is not there": {
			args: "worker-z9", code: 2, stderr: `error: node "worker-z9" does not exist in context "e2e-drain-check" (kubectl get nodes lists them)`,
		},
		"labels that no node has": {
			args: "-l pool=none", code: 2, stderr: `error: no node has the labels "pool=none" (kubectl get nodes --show-labels lists them)`,
		},
		"hidden budgets": {
			args: "worker-c1 --as no-budgets", code: 2, stdout: []string{"CANNOT TELL node worker-c1", "what decides could not be read: poddisruptionbudgets", "needs:"},
		},
		"hidden volumes where a pod has one": {
			args: "worker-b1 --as no-volumes", code: 2, stdout: []string{"CANNOT TELL node worker-b1", "persistentvolumeclaims", "of which nobody can tell: 1"},
		},
		"hidden volumes where no pod has one": {
			args: "worker-c1 --as no-volumes", code: 0, stdout: []string{"SAFE node worker-c1", "Not read, and without weight in the verdict:"},
		},
		"hidden volumes in a plan": {
			args: "--all --plan --as no-volumes --disable-eviction --force", code: 2, stdout: []string{"CANNOT TELL"},
		},
		"nobody's eyes": {
			args: "worker-c1 --as nobody", code: 2, stderr: "error: nothing could be read",
		},
		"a node whose kubelet does not answer": {
			args: "silent", code: 1, stdout: []string{"BLOCKED node silent", "(not ready)", "its kubelet confirms no pod's end, and the drain waits for ever"},
		},
		"a pod of a custom resource": {
			args: "worker-c2", code: 0, stdout: []string{"the controller of Broker one decides whether, when and how it makes another (drain.test/v1)"},
		},
		"all nodes at once": {
			args: "--all --force", code: 1, stdout: []string{"no schedulable node is left in the cluster"},
			stderr: "hint: this is the drain of all nodes at once, which leaves no pod a place; --all --plan finds the order in which they can be drained",
		},
	}
}

// drainFormats holds each format to its own syntax.
func drainFormats(t *testing.T, c *testCluster) {
	ask := func(format string) string {
		r := c.kubectl(t, nil, "prod", "drain-check", "worker-a1", "-o", format)
		if r.code != 1 || r.stderr != "" {
			t.Errorf("-o %s: exit code %d, %q", format, r.code, r.stderr)
		}
		return r.stdout
	}
	var check report.DrainCheck
	if err := json.Unmarshal([]byte(ask("json")), &check); err != nil || check.Kind != "DrainCheck" || check.APIVersion != "prod.kubectl.io/v1alpha1" || check.Verdict != report.VerdictBlocked {
		t.Errorf("json: %v, %+v", err, check.TypeMeta)
	}
	for format, want := range map[string]string{
		"yaml":                      "kind: DrainCheck\n",
		"wide":                      "NODE        NAMESPACE",
		"markdown":                  "### Blocked by\n\n| what | why | pods | fix |",
		"name":                      "",
		"jsonpath={.verdict}":       "blocked",
		"go-template={{.verdict}}x": "blockedx",
	} {
		if got := ask(format); !strings.Contains(got, want) {
			t.Errorf("-o %s:\n%s\nwant %q", format, got, want)
		}
	}
}

func samePlan(t *testing.T, c *testCluster) {
	ask := func() string {
		r := c.kubectl(t, nil, "prod", "drain-check", "--all", "--plan", "--force", "-o", "jsonpath={.plan}{.blockers}{.verdict}")
		if r.code == 2 || r.stdout == "" {
			t.Fatalf("exit code %d, %s", r.code, r.stderr)
		}
		return r.stdout
	}
	first := ask()
	for range 3 {
		if again := ask(); again != first {
			t.Errorf("another plan:\n%s\nafter\n%s", again, first)
		}
	}
	r := c.kubectl(t, nil, "prod", "drain-check", "--all", "--plan", "--force")
	t.Logf("kubectl prod drain-check --all --plan --force\n%s", r.stdout)
	if !strings.Contains(r.stdout, "PLAN  ") || !strings.Contains(r.stdout, "STUCK  worker-a1: drains/cart-") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}

// stuckPod waits until the pod that was deleted at the beginning is overdue.
func stuckPod(t *testing.T, c *testCluster) {
	eventually(t, 2*time.Minute, func() error {
		r := c.kubectl(t, nil, "prod", "drain-check", "worker-b2", "--force")
		text := unwrapped(r.stdout)
		if r.code != 1 || !strings.Contains(text, "drains pod/stuck: should have ended") || !strings.Contains(text, "and finalizers hold it: drain.test/never") {
			return fmt.Errorf("exit code %d, %s", r.code, r.stdout)
		}
		t.Logf("kubectl prod drain-check worker-b2 --force\n%s", r.stdout)
		return nil
	})
	c.must(t, "patch", "pod", "stuck", "-n", "drains", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
}

func nothingSchedulable(t *testing.T, c *testCluster) {
	c.must(t, "cordon", "--selector=kubernetes.io/hostname")
	drainQuestion{args: "worker-c1", code: 1, stdout: []string{"BREAKS node worker-c1 (cordoned already)", "no schedulable node is left in the cluster: no replacement has a place", "would stay Pending"}}.ask(t, c)
}
