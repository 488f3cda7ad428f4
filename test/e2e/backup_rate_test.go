//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// leastRate is of etcdctl's own, over a port-forward of the same API server.
const leastRate = 0.8

// TestBackupRate measures backup-etcd against `etcdctl snapshot save` on a large
// database, and its memory on a small and a large one. `make backup-rate` runs it.
func TestBackupRate(t *testing.T) {
	mebibytes, err := strconv.Atoi(os.Getenv("BACKUP_MIB"))
	if err != nil || mebibytes < 256 {
		t.Skip("make backup-rate runs it: it takes minutes, and some ten gigabytes of disk")
	}
	c := up(t, "e2e-rate", "--node", "--nodes", "0", "--fast")
	measureBackup(t, c, mebibytes)
}

func measureBackup(t *testing.T, c *testCluster, mebibytes int) {
	const small, runs = 128, 3
	c.fill(t, small)
	streamSmall := c.measured(t, "--depth", "integrity")
	wholeSmall := c.measured(t)
	c.fill(t, mebibytes)
	var ours, theirs []float64
	var streamLarge measurement
	for range runs { // in turn, so that both see the same machine
		streamLarge = c.measured(t, "--depth", "integrity")
		ours = append(ours, float64(streamLarge.backup.Transfer.Bytes)/streamLarge.backup.Transfer.Seconds)
		theirs = append(theirs, c.etcdctlSave(t))
	}
	wholeLarge := c.measured(t)
	slices.Sort(ours)
	slices.Sort(theirs)
	const mb = 1 << 20
	t.Logf("snapshot of %d MiB: backup-etcd %.0f MiB/s (%.0f to %.0f), etcdctl snapshot save %.0f MiB/s (%.0f to %.0f), median of %d each: ratio %.2f",
		streamLarge.backup.Transfer.Bytes>>20, ours[runs/2]/mb, ours[0]/mb, ours[runs-1]/mb, theirs[runs/2]/mb, theirs[0]/mb, theirs[runs-1]/mb, runs, ours[runs/2]/theirs[runs/2])
	for _, m := range []struct {
		what string
		measurement
	}{{"streaming", streamSmall}, {"streaming", streamLarge}, {"with the restore drill", wholeSmall}, {"with the restore drill", wholeLarge}} {
		t.Logf("%s, %d MiB: peak memory %d MiB, %s in all", m.what, m.backup.Transfer.Bytes>>20, m.peak>>20, m.wall.Round(100*time.Millisecond))
	}
	if ratio := ours[runs/2] / theirs[runs/2]; ratio < leastRate {
		t.Errorf("the rate is %.2f of etcdctl's, and is to be %.1f", ratio, leastRate)
	}
	if more := streamLarge.peak - streamSmall.peak; more > 64<<20 {
		t.Errorf("streaming takes %d MiB more memory for the large database", more>>20)
	}
}

// measurement is one run.
type measurement struct {
	backup report.EtcdBackup
	peak   int64 // bytes, of the plugin and of its child
	wall   time.Duration
}

func (c *testCluster) measured(t *testing.T, flags ...string) measurement {
	t.Helper()
	dir := t.TempDir()
	command := exec.CommandContext(t.Context(), c.lookUp(t, "kubectl-prod"), append([]string{"backup-etcd", "--to", dir, "--scratch", dir, "-o", "json"}, flags...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	began := time.Now()
	if err := command.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	m := measurement{wall: time.Since(began), peak: command.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10}
	if err := json.Unmarshal(stdout.Bytes(), &m.backup); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return m
}

// etcdctlSave is the rate, in bytes a second, of etcdctl over kubectl's
// port-forward to the member's pod.
func (c *testCluster) etcdctlSave(t *testing.T) float64 {
	t.Helper()
	local := freeAddress(t)
	_, port, err := net.SplitHostPort(local)
	if err != nil {
		t.Fatal(err)
	}
	pod := strings.TrimSpace(c.must(t, "get", "pods", "-n", "kube-system", "-l", "component=etcd", "-o", "jsonpath={.items[0].metadata.name}"))
	forward := exec.CommandContext(t.Context(), c.lookUp(t, "kubectl"), "port-forward", "-n", "kube-system", "pod/"+pod, fmt.Sprintf("%s:%d", port, c.etcdPort(t)))
	forward.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = forward.Process.Kill(); _ = forward.Wait() }()
	eventually(t, time.Minute, func() error {
		connection, err := net.Dial("tcp", local)
		if err != nil {
			return err
		}
		return connection.Close()
	})
	file := filepath.Join(t.TempDir(), "snapshot.db")
	began := time.Now()
	mustRun(t, nil, c.lookUp(t, "etcdctl"), append([]string{"snapshot", "save", file, "--command-timeout=10m"}, c.etcdFlags(t, "https://"+local)...)...)
	spent := time.Since(began)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	return float64(info.Size()) / spent.Seconds()
}
