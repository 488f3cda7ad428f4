package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// preface tells what all results have in common.
const preface = `# Benchmarks

Written by ` + "`make bench`" + `, not by hand. Each fleet is one of simulated nodes over
a real etcd, API server, controllers and scheduler, with a tenth of its apps at
fault.

Both sides run as processes of their own, in turn, on a warmed API server that
shares the machine with them. The bare side sends exactly the LISTs that the other
was seen to send through a counting proxy (same kinds, same form, pages of
` + pageSize + `, 10 at once), decodes every page and drops it.
`

// keep writes a result, a section of Markdown, into a file of such sections; it
// replaces the one with the same heading and leaves the others.
func keep(file, section string) error {
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading earlier results: %w", err)
	}
	const start = "\n## "
	parts := strings.Split(string(data), start)
	sections := parts[1:]
	section = strings.TrimPrefix(section, strings.TrimSpace(start)+" ")
	heading, _, _ := strings.Cut(section, "\n")
	same := slices.IndexFunc(sections, func(s string) bool { return strings.HasPrefix(s, heading+"\n") })
	if same < 0 {
		sections = append(sections, section)
	} else {
		sections[same] = section
	}
	text := bytes.NewBufferString(preface)
	for _, s := range sections {
		text.WriteString(start + strings.TrimRight(s, "\n") + "\n")
	}
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
