// Package docs generates the parts of docs/ that follow from the code.
package docs

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
)

//go:embed templates
var templates embed.FS

// Files are generated files: slash-separated paths from the root of the
// repository, and what is in them.
type Files map[string][]byte

// Time is the moment of the example report: as for all testdata, so that its
// ages and expiries stay as they are.
func Time() time.Time { return time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC) }

// generated are the directories in which every file is generated.
func generated() []string { return []string{"docs/practices", "docs/commands", "docs/man"} }

// Generate makes all files from the code and from the repository's testdata
// and examples.
func Generate(repository string, now time.Time) (Files, error) {
	practices := catalogue.All()
	files := Files{}
	for name, make := range map[string]func() (Files, error){
		"practices": func() (Files, error) { return practicePages(repository, practices) },
		"commands":  commandPages,
		"guide":     func() (Files, error) { return guide(practices) },
		"remedies":  func() (Files, error) { return remedies(practices) },
		"tour":      func() (Files, error) { return tour(repository, practices, now) },
		"example":   func() (Files, error) { return exampleReport(repository, practices, now) },
	} {
		made, err := make()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		maps.Copy(files, made)
	}
	return files, nil
}

// Write writes the files, and removes those of before that are no more.
func (files Files) Write(repository string) error {
	stale, err := files.stale(repository)
	if err != nil {
		return err
	}
	for _, path := range stale {
		content, ok := files[path]
		file := filepath.Join(repository, filepath.FromSlash(path))
		if !ok {
			if err := os.Remove(file); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // a public directory of the repository
			return err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil { //nolint:gosec // a public file of the repository
			return err
		}
	}
	return nil
}

// stale are the paths whose files differ from what is generated, are missing,
// or are left over.
func (files Files) stale(repository string) ([]string, error) {
	var stale []string
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(repository, filepath.FromSlash(path)))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		if err != nil || !bytes.Equal(got, want) {
			stale = append(stale, path)
		}
	}
	for _, dir := range generated() {
		entries, err := os.ReadDir(filepath.Join(repository, filepath.FromSlash(dir)))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		for _, entry := range entries {
			if path := dir + "/" + entry.Name(); files[path] == nil {
				stale = append(stale, path)
			}
		}
	}
	return stale, nil
}

// render executes one of the templates.
func render(name string, functions template.FuncMap, data any) ([]byte, error) {
	parsed, err := template.New(name).Funcs(functions).ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = parsed.Execute(&b, data)
	return b.Bytes(), err
}

// markdown is running text that Markdown shows as it is.
func markdown(text string) string {
	return strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "<", "&lt;", "|", `\|`, "[", `\[`).Replace(text)
}

// anchor is the fragment that GitHub gives a chapter's heading.
func anchor(chapter practice.Chapter) string {
	return strings.ReplaceAll(strings.ToLower(chapter.Title()), " ", "-")
}
