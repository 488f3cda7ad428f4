//go:build !windows

package keep

import (
	"errors"
	"os"
)

// syncDirectory makes a rename last.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
