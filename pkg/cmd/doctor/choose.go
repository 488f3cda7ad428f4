package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/config"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// chooseBy is choose under a configuration file: what the file skips is left
// out unless --check names it, what it enables is in unless --check names
// something else, and severities are as it says.
func chooseBy(settings *config.Config, all []practice.Practice, check, skip []string) ([]practice.Practice, error) {
	all = slices.Clone(all)
	for i := range all {
		p := &all[i]
		p.Severity = cmp.Or(settings.Severities[p.ID], p.Severity)
		p.Optional = (p.Optional || slices.Contains(settings.Skip, p.ID)) && !slices.Contains(settings.Enable, p.ID)
	}
	return choose(all, check, skip)
}

// choose picks the practices that --check names, or all, less those that
// --skip names. A name is a practice's ID or a chapter; an optional practice is
// picked by its ID alone.
func choose(all []practice.Practice, check, skip []string) ([]practice.Practice, error) {
	if err := known(all, skip); err != nil {
		return nil, err
	}
	chosen, err := named(all, check)
	if err != nil {
		return nil, err
	}
	chosen = slices.DeleteFunc(chosen, func(p practice.Practice) bool {
		unasked := p.Optional && !slices.Contains(check, p.ID)
		return unasked || slices.ContainsFunc(skip, func(name string) bool { return goesBy(p, name) })
	})
	if len(chosen) == 0 {
		return nil, errors.New("no practice is left to judge: --skip leaves none, or --check names a chapter whose practices all are optional")
	}
	return chosen, nil
}

// named are the practices that one of the names names; all of them without a
// name.
func named(all []practice.Practice, names []string) ([]practice.Practice, error) {
	var chosen []practice.Practice
	for _, p := range all {
		if len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return goesBy(p, name) }) {
			chosen = append(chosen, p)
		}
	}
	return chosen, known(all, names)
}

// known is an error when a name names no practice.
func known(all []practice.Practice, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p practice.Practice) bool { return goesBy(p, name) }) {
			return unknown(all, name)
		}
	}
	return nil
}

func goesBy(p practice.Practice, name string) bool {
	return p.ID == name || string(p.Chapter) == name
}

// unknown names the practices whose names share the most with a wrong one.
func unknown(all []practice.Practice, name string) error {
	text := fmt.Sprintf("there is no practice or chapter %q", name)
	var near []string
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' })
	for _, p := range all {
		if slices.ContainsFunc(words, func(word string) bool { return len(word) > 2 && strings.Contains(p.ID, word) }) {
			near = append(near, p.ID)
		}
	}
	if len(near) > 0 {
		text += ": did you mean " + strings.Join(near[:min(len(near), 4)], ", ") + "?"
	}
	return fmt.Errorf("%s (kubectl prod doctor list shows them all)", text)
}
