package completion

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// link copies the plugin, since making links takes a right that few users of
// Windows have.
func link(plugin string) (string, error) {
	path := filepath.Join(filepath.Dir(plugin), Completer+".exe")
	from, err := os.Open(plugin)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.Create(path)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	return path, errors.Join(err, to.Close())
}
