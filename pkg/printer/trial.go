package printer

import (
	"cmp"
	"io"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Trial prints the verdict of each rule on each object.
func (o Options) Trial(w io.Writer, t *report.Trial) error {
	if !o.human() {
		return o.object(w, t)
	}
	var rows [][]string
	for _, tried := range t.Tried {
		colour := map[string]string{"pass": green, "fail": red, "error": red}[tried.Verdict]
		object := "-"
		if tried.Object.Name != "" {
			object = objectName(tried.Object)
		}
		rows = append(rows, []string{o.paint(colour, tried.Verdict), tried.Practice, object, cmp.Or(escape(tried.Message), "-")})
	}
	return o.table(w, []string{"VERDICT", "RULE", "OBJECT", "MESSAGE"}, rows)
}
