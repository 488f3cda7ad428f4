//go:build !windows

package disk

import "golang.org/x/sys/unix"

// free is what a user without privileges may still write, in bytes.
func free(directory string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(directory, &stat); err != nil {
		return 0, err
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil //nolint:gosec,unconvert // the types differ between systems; no disk has 2^63 bytes
}
