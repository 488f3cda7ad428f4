//go:build cluster

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// tool is the built command with a state directory of its own, so that the
// clusters of the user are left alone. The cache of programs is shared.
type tool struct {
	t     *testing.T
	path  string
	state string
}

func newTool(t *testing.T) tool {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "cluster")
	if output, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the tool: %v\n%s", err, output)
	}
	return tool{t: t, path: path, state: filepath.Join(dir, "state")}
}

func (c tool) command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.path, args...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+c.state)
	return cmd
}

// in is the same tool for a subtest, which must not fail its parent.
func (c tool) in(t *testing.T) tool {
	c.t = t
	return c
}

// run runs the tool and returns its standard output; a failure ends the test.
func (c tool) run(args ...string) string {
	c.t.Helper()
	cmd := c.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("cluster %s: %v\n%s%s", strings.Join(args, " "), err, &out, &errs)
	}
	return out.String()
}

// down is for cleaning up, where a failure must not hide others.
func (c tool) down(name string) {
	if output, err := c.command("down", "--name", name).CombinedOutput(); err != nil {
		c.t.Errorf("down: %v\n%s", err, output)
	}
}

// kubectl runs the cluster's own kubectl, found through `env` as a user would.
func (c tool) kubectl(name string, args ...string) string {
	c.t.Helper()
	script := c.run("env", "--name", name) + `kubectl "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return string(output)
}

// eventually polls until what holds, for at most two minutes.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(context.Background(), 500*time.Millisecond, 2*time.Minute, true,
		func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		t.Fatalf("%s: not within two minutes", what)
	}
}

func TestAClusterComesUpTwiceBesideAnotherAndLeavesNothing(t *testing.T) {
	before := takeTraces(t)
	c := newTool(t)
	t.Cleanup(func() { c.down("one"); c.down("two"); before.check(t, c.state) })

	c.run("up", "--name", "one")
	c.run("status", "--name", "one")
	if got := c.kubectl("one", "version"); strings.Count(got, "v1.37.2") != 2 {
		t.Errorf("client and server should both say v1.37.2:\n%s", got)
	}
	if got := strings.Count(c.kubectl("one", "get", "nodes", "--no-headers"), " Ready "); got != 6 {
		t.Errorf("%d nodes are ready, want 6", got)
	}
	zones := c.kubectl("one", "get", "nodes", "-o", `jsonpath={.items[*].metadata.labels.topology\.kubernetes\.io/zone}`)
	for _, zone := range []string{"eu-west-1a", "eu-west-1b", "eu-west-1c"} {
		if strings.Count(zones, zone) != 2 {
			t.Errorf("zone %s should have two nodes: %s", zone, zones)
		}
	}

	pid := etcdPID(t, c, "one")
	c.run("up", "--name", "one")
	if again := etcdPID(t, c, "one"); again != pid {
		t.Errorf("the second up restarted etcd: pid %s became %s", pid, again)
	}

	c.run("up", "--name", "two", "--nodes", "3")
	c.run("status", "--name", "one")
	c.run("down", "--name", "two")
	c.run("status", "--name", "one")
	c.run("down", "--name", "one")
	c.run("down", "--name", "one")
	if c.command("status", "--name", "one").Run() == nil {
		t.Error("status of a cluster that is down should fail")
	}
}

// etcdPID reads the status table.
func etcdPID(t *testing.T, c tool, name string) string {
	t.Helper()
	for line := range strings.Lines(c.run("status", "--name", name)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "etcd" {
			return fields[1]
		}
	}
	t.Fatal("status does not show etcd")
	return ""
}

func TestUsageIsMeasuredAndFollowsAnnotations(t *testing.T) {
	before := takeTraces(t)
	c := newTool(t)
	t.Cleanup(func() { c.down("usage"); before.check(t, c.state) })

	c.run("up", "--name", "usage", "--nodes", "1")
	c.kubectl("usage", "run", "busy", "--image=prod.test/web:1.0", "--annotations=kwok.x-k8s.io/usage-cpu=750m", "--annotations=kwok.x-k8s.io/usage-memory=300Mi")
	eventually(t, "the usage of the pod", func() bool {
		output, err := exec.Command("sh", "-c", c.run("env", "--name", "usage")+"kubectl top pod busy --no-headers").Output()
		return err == nil && strings.Contains(string(output), "300Mi") && strings.Contains(string(output), " 75")
	})
	if got := c.kubectl("usage", "top", "nodes", "--no-headers"); strings.Contains(got, "<unknown>") {
		t.Errorf("the usage of nodes is unknown:\n%s", got)
	}
}

func TestARepairedClusterKeepsItsData(t *testing.T) {
	before := takeTraces(t)
	c := newTool(t)
	t.Cleanup(func() { c.down("mended"); before.check(t, c.state) })

	c.run("up", "--name", "mended", "--nodes", "1")
	c.kubectl("mended", "create", "configmap", "kept")
	killEtcd(t, c.state)
	if c.command("status", "--name", "mended").Run() == nil {
		t.Error("status should fail without etcd")
	}
	c.run("up", "--name", "mended")
	c.run("status", "--name", "mended")
	c.kubectl("mended", "get", "configmap", "kept")
}

func killEtcd(t *testing.T, state string) {
	t.Helper()
	for _, p := range processesNaming(t, state) {
		if filepath.Base(p.program) == "etcd" {
			if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("etcd does not run")
}

func TestASavedClusterComesBackUnderAnotherName(t *testing.T) {
	before := takeTraces(t)
	c := newTool(t)
	t.Cleanup(func() { c.down("first"); c.down("second"); before.check(t, c.state) })

	c.run("up", "--name", "first", "--nodes", "4")
	c.kubectl("first", "create", "deployment", "web", "--image=prod.test/web:1.0", "--replicas=3")
	c.kubectl("first", "rollout", "status", "deployment/web", "--timeout=60s")
	token := c.kubectl("first", "create", "token", "default")
	file := filepath.Join(t.TempDir(), "saved.tar")
	c.run("save", "--name", "first", file)

	c.run("up", "--name", "second", "--restore", file)
	if got := strings.Count(c.kubectl("second", "get", "nodes", "--no-headers"), " Ready "); got != 4 {
		t.Errorf("%d nodes came back, want 4", got)
	}
	c.kubectl("second", "rollout", "status", "deployment/web", "--timeout=60s")
	review := filepath.Join(t.TempDir(), "review.yaml")
	text := "apiVersion: authentication.k8s.io/v1\nkind: TokenReview\nspec: {token: " + strings.TrimSpace(token) + "}\n"
	if err := os.WriteFile(review, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.kubectl("second", "create", "-f", review, "-o", "jsonpath={.status.authenticated}"); got != "true" {
		t.Errorf("the saved cluster's token should still be valid: %s", got)
	}
	if c.command("up", "--name", "second", "--restore", file).Run() == nil {
		t.Error("restoring over a cluster should be refused")
	}
}

func TestAnInterruptedUpLeavesNothing(t *testing.T) {
	before := takeTraces(t)
	c := newTool(t)
	t.Cleanup(func() { c.down("cut"); before.check(t, c.state) })

	for _, program := range []string{"etcd", "kube-apiserver", "kube-scheduler"} {
		interruptWhenRuns(t, c, program, "up", "--name", "cut")
		before.check(t, c.state)
	}
}

// interruptWhenRuns interrupts the tool once it has started the program.
func interruptWhenRuns(t *testing.T, c tool, program string, args ...string) {
	t.Helper()
	cmd := c.command(args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, program+" is started", func() bool {
		for _, p := range processesNaming(t, c.state) {
			if filepath.Base(p.program) == program {
				return true
			}
		}
		return false
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("an interrupted up should end with code 1, got %v", err)
	}
}
