//go:build e2e

// Package e2e runs the built plugin through a real kubectl against real
// clusters, which it brings up and takes down itself. `make e2e` builds what
// it needs.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root is the repository's root, from this package.
const root = "../.."

// testCluster is a cluster that test/cluster brought up.
type testCluster struct {
	kubeconfig string
	path       string // PATH with kubectl and the plugin first
}

// bringUp brings a cluster up, or repairs it; from any goroutine.
func bringUp(tool, name string, flags ...string) error {
	args := append([]string{"up", "--name", name}, flags...)
	if minor := os.Getenv("KUBERNETES"); minor != "" {
		args = append(args, "--kubernetes", minor)
	}
	command := exec.Command(tool, args...)
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", tool, strings.Join(args, " "), err)
	}
	return nil
}

// up brings a cluster up for the length of a test: of the newest Kubernetes, or
// of the older minor that $KUBERNETES names.
func up(t *testing.T, name string, flags ...string) *testCluster {
	t.Helper()
	tool, err := filepath.Abs(filepath.Join(root, "bin", "test-cluster"))
	if err != nil {
		t.Fatal(err)
	}
	down := func() { mustRun(t, nil, tool, "down", "--name", name) }
	down() // what a run that was killed has left
	t.Cleanup(down)
	if err := bringUp(tool, name, flags...); err != nil {
		t.Fatal(err)
	}
	env := mustRun(t, nil, tool, "env", "--name", name)
	exported := regexp.MustCompile(`export (\w+)="([^"]+)"`)
	c := &testCluster{}
	for _, match := range exported.FindAllStringSubmatch(env, -1) {
		switch match[1] {
		case "KUBECONFIG":
			c.kubeconfig = match[2]
		case "PATH":
			c.path = match[2]
		}
	}
	if c.kubeconfig == "" || c.path == "" {
		t.Fatalf("cannot read the cluster's env:\n%s", env)
	}
	c.path = pluginPath(t) + string(os.PathListSeparator) + c.path + string(os.PathListSeparator) + os.Getenv("PATH")
	return c
}

// pluginPath is a directory with the plugin as krew would link it, completer
// included.
func pluginPath(t *testing.T) string {
	t.Helper()
	plugin, err := filepath.Abs(filepath.Join(root, "bin", "kubectl-prod"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"kubectl-prod", "kubectl_complete-prod"} {
		if err := os.Symlink(plugin, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// result is how a command ended.
type result struct {
	stdout, stderr string
	code           int
}

// kubectl runs kubectl against the cluster; env overrides, "KEY=value".
func (c *testCluster) kubectl(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return run(t, append([]string{"KUBECONFIG=" + c.kubeconfig, "PATH=" + c.path}, env...), c.lookUp(t, "kubectl"), args...)
}

// must is kubectl where nothing but success will do.
func (c *testCluster) must(t *testing.T, args ...string) string {
	t.Helper()
	r := c.kubectl(t, nil, args...)
	if r.code != 0 {
		t.Fatalf("kubectl %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

func (c *testCluster) lookUp(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range filepath.SplitList(c.path) {
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
	}
	t.Fatalf("%s is not in %s", name, c.path)
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// patience is how long a command may take: the longest, a drain of a node whose
// pods are slow to end, takes a tenth of it.
const patience = 10 * time.Minute

// within is a deadline for a call that has none of its own: etcd's client asks a
// member that is gone for hours.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func run(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	ctx := within(t, patience)
	command := exec.CommandContext(ctx, name, args...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGQUIT) } // a Go program tells where it hangs
	command.WaitDelay = 10 * time.Second
	command.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatalf("%s %s: not done within %s\n%s%s", name, strings.Join(args, " "), patience, stdout.String(), stderr.String())
	}
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return result{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

// mustRun is run where nothing but success will do; it outlives a failed test,
// so that clusters come down.
func mustRun(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), env...)
	var stdout bytes.Buffer
	command.Stdout, command.Stderr = &stdout, os.Stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return stdout.String()
}

// eventually waits until a condition holds; it fails the test with what the
// condition said last.
func eventually(t *testing.T, within time.Duration, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", within, err)
		}
		<-tick.C
	}
}

// podsReady holds that a namespace's workloads have all their pods, that these
// run, and that the budgets have counted the same.
func (c *testCluster) podsReady(t *testing.T, namespace string) func() error {
	return func() error {
		pods := c.must(t, "get", "pods", "-n", namespace, "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.phase}{"\n"}{end}`)
		if strings.TrimSpace(pods) == "" {
			return fmt.Errorf("no pod in %s", namespace)
		}
		for line := range strings.Lines(pods) {
			if !strings.Contains(line, "Running") && !strings.Contains(line, "Succeeded") {
				return errors.New(strings.TrimSpace(line))
			}
		}
		if err := c.equal(t, namespace, "deployments,statefulsets", ".spec.replicas", ".status.replicas"); err != nil {
			return err
		}
		return c.equal(t, namespace, "poddisruptionbudgets", ".status.expectedPods", ".status.currentHealthy")
	}
}

// equal holds that two fields of all objects of some kinds are the same.
func (c *testCluster) equal(t *testing.T, namespace, kinds, want, got string) error {
	lines := c.must(t, "get", kinds, "-n", namespace, "-o", fmt.Sprintf(`jsonpath={range .items[*]}{.kind} {.metadata.name} {%s} {%s}{"\n"}{end}`, want, got))
	for line := range strings.Lines(lines) {
		if f := strings.Fields(line); len(f) != 4 || f[2] != f[3] {
			return fmt.Errorf("%s: %s is to be %s", strings.TrimSpace(line), got, want)
		}
	}
	return nil
}
