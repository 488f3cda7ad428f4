package printer

import (
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// DrainWatch prints one look at a running drain.
func (o Options) DrainWatch(w io.Writer, d *report.DrainWatch) error {
	if !o.human() {
		return o.object(w, d)
	}
	uncordoned := 0
	for _, n := range d.Nodes {
		if !n.Cordoned {
			uncordoned++
		}
	}
	fmt.Fprintf(w, "%s  %s left, %d gone since the first look", d.Time.Format("15:04:05"), count(len(d.Pods), "pod"), d.Gone)
	if uncordoned > 0 {
		fmt.Fprintf(w, "; %s not cordoned: no drain runs there", count(uncordoned, "node"))
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, p := range d.Pods {
		state := p.State
		if state == "waiting" {
			state = o.paint(yellow, state)
		}
		rows = append(rows, []string{state, duration.HumanDuration(d.Time.Sub(p.Since.Time)), escape(p.Node), escape(p.Namespace + "/" + p.Name), escape(p.For)})
	}
	if err := o.table(w, []string{"STATE", "SINCE", "NODE", "POD", "FOR"}, rows); err != nil {
		return err
	}
	told := map[string]bool{}
	for _, p := range d.Pods {
		if key := p.Namespace + "/" + p.Budget; len(p.Release) > 0 && !told[key] {
			told[key] = true
			fmt.Fprintf(w, "To release %s:\n", escape(p.Namespace+"/"+p.Name))
			o.fixes(w, p.Release)
		}
	}
	return nil
}
