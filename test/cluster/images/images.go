// Package images holds the sources of the programs that run in the cluster's
// pods. Each imports the standard library alone and becomes an image of one
// file, without a shell.
package images

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed */main.go
var sources embed.FS

// Names lists the programs.
func Names() ([]string, error) {
	entries, err := fs.ReadDir(sources, ".")
	if err != nil {
		return nil, fmt.Errorf("listing the images' sources: %w", err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}

// Source is the text of the named program.
func Source(name string) ([]byte, error) {
	source, err := sources.ReadFile(name + "/main.go")
	if err != nil {
		return nil, fmt.Errorf("reading the source of image %s: %w", name, err)
	}
	return source, nil
}
