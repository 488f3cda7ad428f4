//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// planIsTrue restores a node's cluster as restore-plan says, line by line, and
// holds every key of etcd against what was there. Only what a machine of its own
// would bring is a stand-in: sudo and ssh, which here have nobody to become and
// nowhere to go, and the manifests of the API server, controllers and scheduler,
// which test/cluster runs as processes: they are ended and started beside.
func planIsTrue(t *testing.T, c *testCluster, name string) {
	standIns(t, c)
	dir := t.TempDir()
	b := c.backup(t, dir, "--compress")
	before := c.keys(t, b.Snapshot.Revision)
	c.must(t, "create", "namespace", "made-after-the-backup")
	c.must(t, "delete", "configmap", "-n", "shop", "--all")
	r := c.kubectl(t, nil, "prod", "backup-etcd", "restore-plan", filepath.Join(dir, b.Name), "-o", "json")
	var plan report.RestorePlan
	if err := json.Unmarshal([]byte(r.stdout), &plan); r.code != 0 || err != nil {
		t.Fatalf("exit code %d, %v: %s", r.code, err, r.stderr)
	}
	operator := newOperator(t, c, name)
	for i, step := range plan.Steps {
		switch {
		case strings.HasPrefix(step.Title, "Stop the API servers"):
			c.endProcesses(t, "kube-controller-manager", "kube-scheduler", "kube-apiserver")
		case strings.HasPrefix(step.Title, "Start the API servers"):
			after := c.keys(t, 0)
			same(t, before, after)
			t.Logf("keys before %d, after %d", len(before), len(after))
			tool, err := filepath.Abs(filepath.Join(root, "bin", "test-cluster"))
			if err != nil {
				t.Fatal(err)
			}
			if err := bringUp(tool, name, "--node"); err != nil { // repairs
				t.Error(err)
			}
		}
		operator.do(t, i+1, step)
	}
	if out := c.must(t, "get", "namespaces", "-o", "name"); strings.Contains(out, "made-after-the-backup") {
		t.Error("what was made after the backup is still there")
	}
	if out := c.must(t, "get", "configmaps", "-n", "shop", "-o", "name"); !strings.Contains(out, "configmap/") {
		t.Errorf("what was deleted after the backup is not back: %s", out)
	}
	// It goes on from there: a new object, and a pod that is started.
	c.must(t, "create", "namespace", "made-after-the-restore")
	eventually(t, 2*time.Minute, func() error {
		if r := c.kubectl(t, nil, "get", "serviceaccount", "-n", "made-after-the-restore", "default"); r.code != 0 {
			return fmt.Errorf("%s", r.stderr)
		}
		return nil
	})
	next := c.backup(t, t.TempDir())
	if next.Snapshot.Revision < b.Snapshot.Revision+1_000_000_000 {
		t.Errorf("the revision went from %d to %d: clients that watch would wait", b.Snapshot.Revision, next.Snapshot.Revision)
	}
}

// standIns are static pods with the names that kubeadm gives its manifests and
// containers.
func standIns(t *testing.T, c *testCluster) {
	t.Helper()
	const manifests = "/etc/kubernetes/manifests"
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		path := filepath.Join(manifests, name+".yaml")
		writeFile(t, path, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: kube-system}
spec:
  hostNetwork: true
  containers: [{name: %[1]s, image: registry.k8s.io/pause:3.10.1, imagePullPolicy: Never}]
`, name))
		t.Cleanup(func() { _ = os.Remove(path) })
	}
	eventually(t, 2*time.Minute, func() error {
		out := c.must(t, "get", "pods", "-n", "kube-system")
		for _, name := range []string{"kube-apiserver-", "kube-controller-manager-", "kube-scheduler-"} {
			if !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool { return strings.HasPrefix(line, name) && strings.Contains(line, "Running") }) {
				return fmt.Errorf("%s is not running:\n%s", name, out)
			}
		}
		return nil
	})
}

// operator does what a plan says.
type operator struct {
	env []string
	dir string
}

func newOperator(t *testing.T, c *testCluster, name string) operator {
	t.Helper()
	shims := t.TempDir()
	for program, script := range map[string]string{
		"sudo": "#!/bin/sh\nexec \"$@\"\n",
		"ssh":  "#!/bin/sh\nshift\nexec sh -c \"$*\"\n",
	} {
		if err := os.WriteFile(filepath.Join(shims, program), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	socket := "/run/kubectl-prod/" + name + "/containerd.sock"
	t.Cleanup(func() {
		if _, err := os.Stat("/var/lib/kubectl-prod-restore"); err == nil {
			t.Error("the plan leaves the snapshot on the node")
			_ = os.RemoveAll("/var/lib/kubectl-prod-restore")
		}
	})
	return operator{dir: t.TempDir(), env: append(os.Environ(),
		"PATH="+shims+string(os.PathListSeparator)+c.path, "KUBECONFIG="+c.kubeconfig,
		"CONTAINERD_ADDRESS="+socket, "CONTAINER_RUNTIME_ENDPOINT=unix://"+socket)}
}

// do runs a step's commands one after the other, each as it is printed.
func (o operator) do(t *testing.T, number int, step report.RestoreStep) {
	t.Helper()
	for _, command := range step.Commands {
		began := time.Now()
		shell := exec.CommandContext(t.Context(), "bash", "-c", command)
		shell.Dir, shell.Env = o.dir, o.env
		shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
		clock := time.AfterFunc(3*time.Minute, func() { _ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) })
		said, err := shell.CombinedOutput()
		clock.Stop()
		t.Logf("%d. %s: %s (%s)\n%s", number, step.Title, command, time.Since(began).Round(100*time.Millisecond), tail(string(said)))
		// doctor's exit code tells what it found, which is not the plan's.
		if err != nil && !strings.HasPrefix(command, "kubectl prod doctor") {
			t.Fatalf("step %d, %s: %v", number, command, err)
		}
	}
}

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], "\n")
}

// endProcesses ends components of test/cluster, as a kubelet ends a pod whose
// manifest goes.
func (c *testCluster) endProcesses(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(c.kubeconfig), "pids", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var record struct{ PID int }
		if err := json.Unmarshal(data, &record); err != nil || record.PID < 2 {
			t.Fatalf("%s: %v", data, err)
		}
		if err := syscall.Kill(record.PID, syscall.SIGTERM); err != nil {
			t.Fatalf("ending %s: %v", name, err)
		}
		// As a kubelet does it: a while to end by itself, then not.
		hard := time.AfterFunc(3*time.Second, func() { _ = syscall.Kill(record.PID, syscall.SIGKILL) })
		defer hard.Stop()
		eventually(t, time.Minute, func() error {
			state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", record.PID))
			if err == nil && !strings.Contains(string(state), ") Z ") {
				return fmt.Errorf("%s is still there", name)
			}
			return nil
		})
	}
}

// keys are all that etcd holds at a revision (0 is now), but for the leases that
// API servers renew.
func (c *testCluster) keys(t *testing.T, revision int64) map[string]string {
	t.Helper()
	client := c.etcdClient(t)
	defer func() { _ = client.Close() }()
	answer, err := client.Get(within(t, time.Minute), "/registry/", clientv3.WithPrefix(), clientv3.WithRev(revision))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, kv := range answer.Kvs {
		if !strings.HasPrefix(string(kv.Key), "/registry/masterleases/") {
			all[string(kv.Key)] = string(kv.Value)
		}
	}
	return all
}
