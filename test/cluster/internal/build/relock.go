package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Relock completes locks/NAME.mod and makes locks/NAME.sum anew, in the given
// locks directory, after someone has changed a version by hand.
func Relock(ctx context.Context, locksDir, name string) error {
	mod := filepath.Join(locksDir, name+".mod")
	text, err := os.ReadFile(mod)
	if err != nil {
		return fmt.Errorf("reading the lock of %s: %w", name, err)
	}
	dir, err := os.MkdirTemp("", "relock")
	if err != nil {
		return fmt.Errorf("making a directory to tidy in: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), text, 0o644); err != nil {
		return fmt.Errorf("copying the lock of %s: %w", name, err)
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "tidy", "-e") // -e: tests of dependencies may not resolve
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod tidy for %s: %w\n%s", name, err, lastLines(string(output), 20))
	}
	return errors.Join(
		copyFile(filepath.Join(dir, "go.mod"), mod),
		copyFile(filepath.Join(dir, "go.sum"), filepath.Join(locksDir, name+".sum")),
	)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
