package docs

import (
	"strings"
	"text/template"

	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// remedy is a row of the table: what harden writes, and when it refuses.
type remedy struct {
	report.Practice
	Writes, Refuses string
}

// remedies is the page of what harden can do.
func remedies(practices []practice.Practice) (Files, error) {
	byChapter := map[practice.Chapter][]remedy{}
	all := 0
	for _, p := range practices {
		if p.Remedy == nil {
			continue
		}
		all++
		row := remedy{Practice: practice.Describe([]practice.Practice{p}).Items[0], Writes: p.Remedy.Does}
		for _, mark := range []string{"; refused ", ". Refused ", "; each refused "} {
			if writes, refuses, found := strings.Cut(p.Remedy.Does, mark); found {
				row.Writes, row.Refuses = writes, refuses
			}
		}
		byChapter[p.Chapter] = append(byChapter[p.Chapter], row)
	}
	text, err := render("remedies.md.tmpl", template.FuncMap{"markdown": markdown}, map[string]any{"Chapters": practice.Chapters(), "Remedies": byChapter, "Count": all})
	return Files{"docs/harden-remedies.md": text}, err
}
