package practice

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Choose picks the practices that check names, or all, less those that skip
// names. A name is a practice's ID or a chapter; an optional practice is
// picked by its ID alone.
func Choose(all []Practice, check, skip []string) ([]Practice, error) {
	if err := known(all, skip); err != nil {
		return nil, err
	}
	chosen, err := Named(all, check)
	if err != nil {
		return nil, err
	}
	chosen = slices.DeleteFunc(chosen, func(p Practice) bool {
		unasked := p.Optional && !slices.Contains(check, p.ID)
		return unasked || slices.ContainsFunc(skip, func(name string) bool { return goesBy(p, name) })
	})
	if len(chosen) == 0 {
		return nil, errors.New("no practice is left to judge: --skip leaves none, or --check names a chapter whose practices all are optional")
	}
	return chosen, nil
}

// Named are the practices that one of the names names; all of them without a
// name.
func Named(all []Practice, names []string) ([]Practice, error) {
	var chosen []Practice
	for _, p := range all {
		if len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return goesBy(p, name) }) {
			chosen = append(chosen, p)
		}
	}
	return chosen, known(all, names)
}

// known is an error when a name names no practice.
func known(all []Practice, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p Practice) bool { return goesBy(p, name) }) {
			return unknown(all, name)
		}
	}
	return nil
}

func goesBy(p Practice, name string) bool {
	return p.ID == name || string(p.Chapter) == name
}

// unknown names the practices whose names share the most with a wrong one.
func unknown(all []Practice, name string) error {
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
