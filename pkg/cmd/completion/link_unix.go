//go:build !windows

package completion

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// link makes a link to the plugin in its own directory, relative, so that it
// leads to the new binary after krew has upgraded the plugin. One that is there
// is left; a file of that name that is no such link is not touched.
func link(plugin string) (string, error) {
	path := filepath.Join(filepath.Dir(plugin), Completer)
	err := os.Symlink(filepath.Base(plugin), path)
	if !errors.Is(err, fs.ErrExist) {
		return path, err
	}
	if target, err := os.Readlink(path); err != nil || target != filepath.Base(plugin) {
		return "", fmt.Errorf("%s is there already and is not a link to %s: remove it, then try again", path, filepath.Base(plugin))
	}
	return path, nil
}
