package printer

import (
	"cmp"
	"io"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Systems prints the systems around the cluster.
func (o Options) Systems(w io.Writer, s *report.Systems) error {
	if !o.human() {
		return o.object(w, s)
	}
	header := []string{"SYSTEM", "VERSION", "HEALTH", "EFFECT"}
	if o.Format == "wide" {
		header = append(header, "RECOGNISED BY")
	}
	var rows [][]string
	for _, item := range s.Items {
		health := item.Health
		if strings.HasPrefix(health, "sick") {
			health = o.paint(red, health)
		}
		row := []string{item.Name, escape(cmp.Or(item.Version, "-")), health, item.Effect}
		if o.Format == "wide" {
			row = append(row, cmp.Or(escape(strings.Join(item.Evidence, ", ")), "-"))
		}
		rows = append(rows, row)
	}
	if o.NoHeaders {
		header = nil
	}
	return o.table(w, header, rows)
}
