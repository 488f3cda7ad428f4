//go:build !linux

package machine

import "errors"

// unmount is never reached: Preflight refuses other systems.
func unmount(string) error { return errors.ErrUnsupported }
