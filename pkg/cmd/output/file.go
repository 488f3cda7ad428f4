package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writable tells early what would fail late: a file cannot take the place of a
// directory or a device, nor stand in a directory that does not exist.
func writable(path string) error {
	target, err := os.Stat(path)
	switch {
	case err == nil && target.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case err == nil && !target.Mode().IsRegular():
		return fmt.Errorf("%s is not a file (without --output-file, the output goes to standard output)", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err == nil && !dir.IsDir() {
		err = fmt.Errorf("%s is not a directory", filepath.Dir(path))
	}
	return err
}

// writeWhole writes a file, or leaves what was there: a reader never sees half
// a report, as the textfile collector of Prometheus would.
func writeWhole(path string, write func(io.Writer) error) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the link stays, and leads to the new file
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Chmod(0o644), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the error that counts is the first
	}
	return err
}
