// Command gen-manifest writes krew-manifest.yaml and plugins/prod.yaml, the
// same manifest twice: the first is what `kubectl krew install --manifest`
// takes, the second makes this repository a krew index of its own.
//
//	go run ./cmd/gen-manifest --version v1.2.3 --checksums dist/checksums.txt
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kubectl-prod/kubectl-prod/cmd/gen-manifest/manifest"
)

func main() {
	version := flag.String("version", "", "the release, v1.2.3")
	checksums := flag.String("checksums", filepath.Join("dist", "checksums.txt"), "SHA-256 checksums of the release's archives")
	repository := flag.String("repository", ".", "root of the repository to write into")
	flag.Parse()
	if err := generate(*version, *checksums, *repository); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func generate(version, checksums, repository string) error {
	data, err := os.ReadFile(checksums)
	if err != nil {
		return fmt.Errorf("reading the checksums: %w", err)
	}
	sums, err := manifest.ReadChecksums(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s: %w", checksums, err)
	}
	plugin, err := manifest.Plugin(version, sums, manifest.Platforms())
	if err != nil {
		return err
	}
	data, err = manifest.Render(plugin)
	if err != nil {
		return err
	}
	for _, path := range []string{"krew-manifest.yaml", filepath.Join("plugins", "prod.yaml")} {
		if err := os.WriteFile(filepath.Join(repository, path), data, 0o644); err != nil { //nolint:gosec // a public file of the repository
			return fmt.Errorf("writing the manifest: %w", err)
		}
	}
	return nil
}
