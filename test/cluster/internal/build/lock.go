package build

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/mod/modfile"
)

// The go.mod and go.sum of each group have other names here, since a directory
// with a go.mod could not be embedded.
//
//go:embed locks/*.mod locks/*.sum
var locks embed.FS

// lock is what pins a group: the texts of its go.mod and go.sum.
type lock struct {
	mod, sum []byte
	version  string
}

func (g Group) lock() (lock, error) {
	mod, err := locks.ReadFile("locks/" + g.Name + ".mod")
	if err != nil {
		return lock{}, fmt.Errorf("reading the lock of %s: %w", g.Name, err)
	}
	sum, err := locks.ReadFile("locks/" + g.Name + ".sum")
	if err != nil {
		return lock{}, fmt.Errorf("reading the lock of %s: %w", g.Name, err)
	}
	file, err := modfile.ParseLax(g.Name+".mod", mod, nil)
	if err != nil {
		return lock{}, fmt.Errorf("reading the lock of %s: %w", g.Name, err)
	}
	for _, required := range file.Require {
		if required.Mod.Path == g.Module {
			return lock{mod: mod, sum: sum, version: required.Mod.Version}, nil
		}
	}
	return lock{}, fmt.Errorf("the lock of %s does not require %s", g.Name, g.Module)
}

// Version is the version of the group's module, such as v1.37.2.
func (g Group) Version() (string, error) {
	l, err := g.lock()
	return l.version, err
}

// KubernetesVersion is the full version that the selection's control plane has.
func (s Selection) KubernetesVersion() (string, error) {
	groups, err := s.Groups()
	if err != nil {
		return "", err
	}
	return groups[0].Version()
}

// key names the cache directory of the group's binaries: whatever changes them
// changes the key.
func (g Group) key(l lock) string {
	hash := sha256.New()
	for _, part := range []string{string(l.mod), string(l.sum), g.Tags, g.ldflags(l.version)} {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	sum := hex.EncodeToString(hash.Sum(nil))[:12]
	return strings.Join([]string{g.Name, l.version, runtime.GOOS, runtime.GOARCH, sum}, "-")
}

// writeModule lays the group's go.mod and go.sum down as a module of their own.
func (l lock) writeModule(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating the build directory: %w", err)
	}
	for name, data := range map[string][]byte{"go.mod": l.mod, "go.sum": l.sum} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("writing the build directory: %w", err)
		}
	}
	return nil
}
