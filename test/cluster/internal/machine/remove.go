package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

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
	steps := []func(context.Context) error{
		m.endShims, m.unmountAll, m.removeProxyRules, removeBridge, m.restoreSysctls, removeCgroups, m.removeFiles,
	}
	for _, step := range steps {
		// The first failure ends it: removing files below a mount that is still
		// there would reach into what is mounted.
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
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
