package machine

import "syscall"

// unmount detaches even what is still in use: its users have been killed.
func unmount(path string) error { return syscall.Unmount(path, syscall.MNT_DETACH) }
