//go:build krew

package krew

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/cmd/gen-manifest/manifest"
)

func thisPlatform() manifest.Platform {
	return manifest.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}
}

// pluginFiles are what a release's archive holds, by name.
func pluginFiles(t *testing.T) map[string][]byte {
	t.Helper()
	repository := filepath.Join("..", "..")
	binary := filepath.Join(t.TempDir(), thisPlatform().Binary())
	goBuild(t, binary, "github.com/kubectl-prod/kubectl-prod/cmd/kubectl-prod", "-trimpath", "-ldflags", "-s -w -X main.version="+version)
	return map[string][]byte{
		filepath.Base(binary): read(t, binary),
		"LICENSE":             read(t, filepath.Join(repository, "LICENSE")),
	}
}

// writeArchive writes a tar.gz named as a release's. Times and owners are the
// same on every machine, so that the same files give the same checksum.
func writeArchive(t *testing.T, files map[string][]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), thisPlatform().Archive(version))
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(file)
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: name, Size: int64(len(files[name])), Mode: 0o755, ModTime: time.Unix(0, 0)}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	for _, end := range []func() error{archive.Close, zipped.Close, file.Close} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func sha256Of(t *testing.T, path string) string {
	t.Helper()
	sum := sha256.Sum256(read(t, path))
	return hex.EncodeToString(sum[:])
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
