package machine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// unmountAll unmounts what is mounted below our directories, innermost first.
func (m Machine) unmountAll(context.Context) error {
	mounts, err := m.mounts()
	if err != nil {
		return err
	}
	slices.Reverse(mounts)
	for _, mount := range mounts {
		if err := unmount(mount.Mountpoint); err != nil {
			return fmt.Errorf("unmounting %s: %w", mount.Mountpoint, err)
		}
	}
	if left, err := m.mounts(); err != nil || len(left) > 0 {
		return errors.Join(err, fmt.Errorf("%d mounts are left", len(left)))
	}
	return nil
}

func (m Machine) mounts() ([]*mountinfo.Info, error) {
	mounts, err := mountinfo.GetMounts(func(info *mountinfo.Info) (skip, stop bool) {
		ours := slices.ContainsFunc([]string{m.Dir.Path, m.runtimeDir(), dataBase}, func(dir string) bool {
			return below(info.Mountpoint, dir)
		})
		return !ours, false
	})
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	return mounts, nil
}

// below leaves the directory itself out: if it is a mount, it is not ours.
func below(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }
