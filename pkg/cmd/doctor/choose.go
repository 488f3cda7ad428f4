package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// choose picks the practices that --check names, or all, less those that
// --skip names. A name is a practice's ID or a chapter.
func choose(all []practice.Practice, check, skip []string) ([]practice.Practice, error) {
	for _, name := range slices.Concat(check, skip) {
		if !slices.ContainsFunc(all, func(p practice.Practice) bool { return goesBy(p, name) }) {
			return nil, unknown(all, name)
		}
	}
	var chosen []practice.Practice
	for _, p := range all {
		named := func(name string) bool { return goesBy(p, name) }
		if (len(check) == 0 || slices.ContainsFunc(check, named)) && !slices.ContainsFunc(skip, named) {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("--skip leaves no practice to judge")
	}
	return chosen, nil
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
