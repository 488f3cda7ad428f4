package printer

import (
	"cmp"
	"fmt"
	"io"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// burningShown is how much of what burns the screen of an incident shows: the
// first ten lines have to say what to do.
const burningShown = 8

// now is the screen of an incident: what burns, worst first, each with what to
// do about it; then what was changed, and what the cluster warns of.
func (o Options) now(w io.Writer, d *report.Diagnosis) error {
	return inSections(w, d, []func(io.Writer, *report.Diagnosis) error{o.alarm, o.burning, o.changes, o.events, o.notChecked, o.aside})
}

// alarm says in two lines how bad it is; a score is for calmer days.
func (o Options) alarm(w io.Writer, d *report.Diagnosis) error {
	fmt.Fprintln(w, subject(d.Origin))
	verdict := o.counts(d.Score)
	if len(groups(d.Findings, burnsAs)) == 0 {
		verdict = "nothing burns in what was checked"
	}
	_, err := fmt.Fprintln(w, o.paint(bold, verdict))
	return err
}

// burnsAs is one line of what burns: a practice, on an object.
func burnsAs(f report.Finding) [2]string { return [2]string{f.Practice, objectName(f.Object)} }

func (o Options) burning(w io.Writer, d *report.Diagnosis) error {
	all := groups(d.Findings, burnsAs)
	for _, g := range all[:o.atMost(burningShown, len(all))] {
		f := g.worst
		fmt.Fprintf(w, "%s  %s: %s\n", o.severity(f.Severity), o.paint(bold, objectName(f.Object)), escape(f.Message))
		fmt.Fprintf(w, "    -> %s\n", escape(cmp.Or(f.Fix, "kubectl prod doctor explain "+f.Practice)))
	}
	if more := len(all) - burningShown; more > 0 && o.Format != "wide" {
		fmt.Fprintf(w, "… and %d more (-o wide lists them)\n", more)
	}
	return nil
}
