package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

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
