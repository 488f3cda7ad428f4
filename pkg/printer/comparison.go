package printer

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Comparison prints what changed between two diagnoses: what is new first.
func (o Options) Comparison(w io.Writer, c *report.Comparison) error {
	if !o.human() {
		return o.object(w, c)
	}
	fmt.Fprintf(w, "%s   score %s -> %s   %d new, %d mended, %d the same", change(c), o.score(c.Before.Score), o.score(c.After.Score),
		len(c.New), len(c.Mended), len(c.Same))
	if len(c.Unknown) > 0 {
		fmt.Fprintf(w, ", %d unknown (not checked now)", len(c.Unknown))
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, part := range []struct {
		name     string
		findings []report.Finding
	}{{"new", c.New}, {"mended", c.Mended}, {"unknown", c.Unknown}} {
		for _, f := range part.findings {
			rows = append(rows, []string{
				part.name, o.severity(f.Severity), f.Practice, escape(cmp.Or(f.Object.Namespace, "-")), escape(f.Object.String()), escape(f.Message),
			})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	return o.table(w, []string{"CHANGE", "SEVERITY", "PRACTICE", "NAMESPACE", "OBJECT", "MESSAGE"}, rows)
}

func change(c *report.Comparison) string {
	return c.Before.Time.UTC().Format(time.DateTime) + " -> " + c.After.Time.UTC().Format(time.DateTime)
}
