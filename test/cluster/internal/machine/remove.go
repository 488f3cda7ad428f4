package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/shirou/gopsutil/v4/process"
	"k8s.io/apimachinery/pkg/util/wait"
)

const removeTimeout = 15 * time.Second

// EndPods kills every process in a pod. The kubelet must have ended before, or
// it would start them again; containerd should still run, to see them end.
func (m Machine) EndPods(ctx context.Context) error {
	if !m.owned() {
		return nil
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, removeTimeout, true, func(context.Context) (bool, error) {
		pids, err := podProcesses()
		if err != nil {
			return false, err
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return false, fmt.Errorf("ending pod process %d: %w", pid, err)
			}
		}
		return len(pids) == 0, nil
	})
}

// Remove takes away what is left of the node once containerd has ended: shims,
// mounts, interfaces, cgroups and files outside the state directory.
func (m Machine) Remove(ctx context.Context) error {
	if !m.owned() {
		return nil
	}
	return errors.Join(
		m.endShims(ctx),
		m.unmountAll(),
		m.removeProxyRules(ctx),
		removeBridge(ctx),
		m.restoreForwarding(),
		removeCgroups(ctx),
		m.removeFiles(),
	)
}

// podCgroups are the kubelet's cgroups, in every hierarchy of version 1 or in
// the one of version 2.
func podCgroups() ([]string, error) {
	first, err := filepath.Glob("/sys/fs/cgroup/kubepods")
	if err != nil {
		return nil, err
	}
	second, err := filepath.Glob("/sys/fs/cgroup/*/kubepods")
	return append(first, second...), err
}

func podProcesses() ([]int, error) {
	roots, err := podCgroups()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Base(path) != "cgroup.procs" {
				return ignoreGone(err)
			}
			data, err := os.ReadFile(path)
			for _, field := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(field); err == nil && !slices.Contains(pids, pid) {
					pids = append(pids, pid)
				}
			}
			return ignoreGone(err)
		})
		if err != nil {
			return nil, fmt.Errorf("looking for pods' processes: %w", err)
		}
	}
	return pids, nil
}

// ignoreGone is for trees that shrink while they are walked.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EOPNOTSUPP) {
		return nil
	}
	return err
}

// endShims kills the shims that serve our containerd, which they name in their
// arguments.
func (m Machine) endShims(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, removeTimeout, true, func(ctx context.Context) (bool, error) {
		all, err := process.ProcessesWithContext(ctx)
		if err != nil {
			return false, fmt.Errorf("listing processes: %w", err)
		}
		left := 0
		for _, p := range all {
			args, err := p.CmdlineSlice()
			if err != nil || !m.isShim(args) {
				continue
			}
			left++
			if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
				return false, fmt.Errorf("ending a container's shim: %w", err)
			}
		}
		return left == 0, nil
	})
}

func (m Machine) isShim(args []string) bool {
	return len(args) > 0 && filepath.Base(args[0]) == "containerd-shim-runc-v2" && slices.Contains(args, m.Socket())
}

// unmountAll unmounts what is mounted below our directories, innermost first.
func (m Machine) unmountAll() error {
	mounts, err := mountinfo.GetMounts(func(info *mountinfo.Info) (skip, stop bool) {
		return !below(info.Mountpoint, m.Dir.Path) && !below(info.Mountpoint, m.runtimeDir()), false
	})
	if err != nil {
		return fmt.Errorf("listing mounts: %w", err)
	}
	slices.Reverse(mounts)
	for _, mount := range mounts {
		if err := unmount(mount.Mountpoint); err != nil {
			return fmt.Errorf("unmounting %s: %w", mount.Mountpoint, err)
		}
	}
	return nil
}

// removeProxyRules lets kube-proxy remove its own rules.
func (m Machine) removeProxyRules(ctx context.Context) error {
	config := m.Dir.Config("kube-proxy.yaml")
	if _, err := os.Stat(config); err != nil {
		return nil // `up` did not come that far
	}
	if err := run(ctx, filepath.Join(m.Dir.Bin(), "kube-proxy"), "--config="+config, "--cleanup"); err != nil {
		return err
	}
	return errors.Join(removeFirewallChain(ctx, "iptables"), removeFirewallChain(ctx, "ip6tables"))
}

// removeFirewallChain removes the one chain that kube-proxy leaves, because
// older kubelets used it too.
func removeFirewallChain(ctx context.Context, iptables string) error {
	const chain = "KUBE-FIREWALL"
	if exec.CommandContext(ctx, iptables, "--wait", "--list", chain).Run() != nil {
		return nil
	}
	for _, args := range [][]string{{"--delete", "INPUT", "--jump", chain}, {"--delete", "OUTPUT", "--jump", chain}, {"--flush", chain}, {"--delete-chain", chain}} {
		if err := run(ctx, iptables, append([]string{"--wait"}, args...)...); err != nil {
			return fmt.Errorf("removing kube-proxy's rules: %w", err)
		}
	}
	return nil
}

func below(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func removeBridge(ctx context.Context) error {
	if exec.CommandContext(ctx, "ip", "link", "show", bridgeName).Run() != nil {
		return nil
	}
	return run(ctx, "ip", "link", "delete", bridgeName)
}

// removeCgroups waits for the kernel, which keeps a cgroup busy for a moment
// after its last process has ended.
func removeCgroups(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, removeTimeout, true, func(context.Context) (bool, error) {
		roots, err := podCgroups()
		if err != nil {
			return false, fmt.Errorf("looking for the pods' cgroups: %w", err)
		}
		for _, root := range roots {
			var dirs []string
			err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					dirs = append(dirs, path)
				}
				return ignoreGone(err)
			})
			if err != nil {
				return false, fmt.Errorf("walking the pods' cgroups: %w", err)
			}
			slices.Reverse(dirs)
			for _, dir := range dirs {
				_ = syscall.Rmdir(dir) // busy ones are tried again
			}
		}
		return len(roots) == 0, nil
	})
}
