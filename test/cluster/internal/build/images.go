package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/images"
)

// ImageProgram is the key under which Ensure returns the program of an image.
func ImageProgram(name string) string { return "image:" + name }

// imageJobs are the programs of our own that run in pods.
func (c Cache) imageJobs() ([]job, error) {
	names, err := images.Names()
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, name := range names {
		source, err := images.Source(name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(source)
		key := "image-" + name + "-" + hex.EncodeToString(sum[:])[:12]
		jobs = append(jobs, job{
			name:   ImageProgram(name),
			target: filepath.Join(c.Dir, "bin", key, name),
			build: func(ctx context.Context, target string) error {
				return c.compileSource(ctx, key, source, target)
			},
		})
	}
	return jobs, nil
}

func (c Cache) compileSource(ctx context.Context, key string, source []byte, target string) error {
	dir := filepath.Join(c.Dir, "build", key)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating the build directory: %w", err)
	}
	module := []byte("module prod.test/image\n\ngo 1.26.0\n")
	for name, data := range map[string][]byte{"go.mod": module, "main.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("writing the build directory: %w", err)
		}
	}
	return goBuild(ctx, dir, []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", target + ".part", "."}, target)
}
