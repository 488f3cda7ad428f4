package docs

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// guide is the field guide with its links. What serves a line is named in the
// template: practices that exist, practices that are planned (which become
// links once they exist), and verbs, planned likewise.
func guide(practices []practice.Practice) (Files, error) {
	links := &linker{practices: practices, named: map[string]bool{}}
	functions := template.FuncMap{"practices": links.existing, "planned": links.planned, "verb": verb, "rest": links.rest}
	// The first pass learns which practices the lines name, for the rest.
	if _, err := render("guide.md.tmpl", functions, nil); err != nil {
		return nil, err
	}
	page, err := render("guide.md.tmpl", functions, nil)
	page = regexp.MustCompile(`\n{3,}`).ReplaceAll(page, []byte("\n\n")) // where there is no rest
	return Files{"docs/guide.md": append(bytes.TrimSpace(page), '\n')}, err
}

type linker struct {
	practices []practice.Practice
	named     map[string]bool
}

func (l *linker) exists(id string) bool {
	return slices.ContainsFunc(l.practices, func(p practice.Practice) bool { return p.ID == id })
}

// existing links to practices of the catalogue.
func (l *linker) existing(ids ...string) (string, error) {
	var links []string
	for _, id := range ids {
		if !l.exists(id) {
			return "", fmt.Errorf("there is no practice %q; one that is to come goes by planned", id)
		}
		l.named[id] = true
		links = append(links, link(id))
	}
	return strings.Join(links, ", "), nil
}

// planned links to those practices that exist by now, and names the others.
func (l *linker) planned(ids ...string) string {
	var links []string
	for _, id := range ids {
		l.named[id] = true
		if l.exists(id) {
			links = append(links, link(id))
		} else {
			links = append(links, "`"+id+"` (planned)")
		}
	}
	return strings.Join(links, ", ")
}

// rest links to the practices of a chapter that no line names.
func (l *linker) rest(chapter practice.Chapter) string {
	var links []string
	for _, p := range l.practices {
		if p.Chapter == chapter && !l.named[p.ID] {
			links = append(links, link(p.ID))
		}
	}
	if len(links) == 0 {
		return ""
	}
	return "Beyond the guide: " + strings.Join(links, ", ") + ".\n"
}

func link(id string) string { return fmt.Sprintf("[%s](practices/%s.md)", id, id) }

// verb links to a command, or names it as planned.
func verb(name string) string {
	for _, c := range commands().Commands() {
		if c.Name() == name {
			return fmt.Sprintf("[`kubectl prod %s`](commands/kubectl_prod_%s.md)", name, name)
		}
	}
	return fmt.Sprintf("`kubectl prod %s` (planned)", name)
}
