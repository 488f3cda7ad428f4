// Package machine makes this machine a real node of a cluster: containerd, a
// kubelet, a bridge for pods and etcd as a static pod, as kubeadm lays it out.
// It takes away again exactly what it brought.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/state"
)

// NodeName is the real node's name.
const NodeName = "control-plane"

// The pods' network. The bridge's own address is the node's: it is there on a
// machine without any other network, and pods reach it.
const (
	NodeIP      = "10.244.0.1"
	PodRange    = "10.244.0.0/24"
	bridgeName  = "prod0"
	networkName = "kubectl-prod"
)

// Fixed places outside the state directory: where kubeadm puts them, or where
// paths must be short, as those of sockets.
const (
	kubernetesDir = "/etc/kubernetes"
	markerFile    = "/etc/kubernetes/.kubectl-prod" // holds the state directory of the cluster that owns the node
	runtimeBase   = "/run/kubectl-prod"
	dataBase      = "/var/lib/kubectl-prod"
	// KubeletRoot is the kubelet's own directory. It holds sockets, too.
	KubeletRoot = dataBase + "/kubelet"
	// VolumesDir holds what pods keep in persistent volumes. It does not depend
	// on the cluster's name, because a volume's source cannot be changed when a
	// cluster is restored under another.
	VolumesDir = dataBase + "/volumes"
)

// Machine is this machine as the node of one cluster.
type Machine struct {
	Dir      state.Dir
	Settings state.Settings
	Programs map[string]string
	Progress io.Writer
}

// Preflight tells, in one line, why this machine cannot be a node of dir's
// cluster.
func Preflight(dir state.Dir) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("--node needs Linux, and this is %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("--node needs root: without it, leave --node away")
	}
	owner, err := os.ReadFile(markerFile)
	switch {
	case err == nil && strings.TrimSpace(string(owner)) == dir.Path:
		return nil
	case err == nil:
		return fmt.Errorf("--node: this machine is already the node of the cluster in %s", strings.TrimSpace(string(owner)))
	}
	if _, err := os.Stat(kubernetesDir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--node: %s exists, so this machine seems to belong to another Kubernetes", kubernetesDir)
	}
	return unused()
}

// unused refuses a machine on which taking down could hit what is not ours.
func unused() error {
	cgroups, err := podCgroups()
	if err != nil {
		return fmt.Errorf("looking for pods: %w", err)
	}
	if len(cgroups) > 0 {
		return fmt.Errorf("--node: %s exists, so this machine seems to belong to another Kubernetes", cgroups[0])
	}
	if bridgeExists() {
		return fmt.Errorf("--node: there is already a network interface %s", bridgeName)
	}
	return nil
}

// Socket is the address of containerd.
func (m Machine) Socket() string { return filepath.Join(m.runtimeDir(), "containerd.sock") }

func (m Machine) runtimeDir() string { return filepath.Join(runtimeBase, m.Dir.Name) }

// claim marks this machine as ours before anything is laid down, so that Remove
// takes down even what a killed `up` left.
func (m Machine) claim() error {
	if err := os.MkdirAll(filepath.Join(kubernetesDir, "manifests"), 0o755); err != nil {
		return fmt.Errorf("creating %s: %w", kubernetesDir, err)
	}
	if err := os.WriteFile(markerFile, []byte(m.Dir.Path+"\n"), 0o644); err != nil {
		return fmt.Errorf("claiming this machine: %w", err)
	}
	return nil
}

// owned tells whether claim was called for this cluster.
func (m Machine) owned() bool {
	owner, err := os.ReadFile(markerFile)
	return err == nil && strings.TrimSpace(string(owner)) == m.Dir.Path
}

// run runs a command to its end; its output is part of the error.
func run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	// Interrupted rather than killed, for apt-get's sake.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
