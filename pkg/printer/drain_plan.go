package printer

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// drainPlan lists the steps of a fleet.
func (o Options) drainPlan(w io.Writer, d *report.DrainCheck) error {
	if d.Plan == nil {
		return nil
	}
	p := d.Plan
	nodes := 0
	for _, s := range p.Steps {
		nodes += len(s.Nodes)
	}
	fmt.Fprintf(w, "%s  %s in %s, %s move, some %s without the maintenance itself (an estimate)\n", o.paint(bold, "PLAN"),
		count(nodes, "node"), count(len(p.Steps), "step"), count(p.Moves, "pod"), span(p.Seconds))
	var rows [][]string
	for i, s := range p.Steps[:o.atMost(shownSteps, len(p.Steps))] {
		names := strings.Join(s.Nodes[:min(len(s.Nodes), 3)], " ")
		if more := len(s.Nodes) - 3; more > 0 && o.Format != "wide" {
			names += fmt.Sprintf(" +%d", more)
		} else if o.Format == "wide" {
			names = strings.Join(s.Nodes, " ")
		}
		rows = append(rows, []string{
			fmt.Sprint(i + 1), fmt.Sprint(len(s.Nodes)), fmt.Sprint(s.Pods), fmt.Sprint(s.Waves), span(s.Seconds), escape(cmp.Or(strings.Join(s.Zones, ","), "-")), escape(names), escape(s.Limit),
		})
	}
	if err := o.table(w, []string{"STEP", "NODES", "PODS", "WAVES", "TAKES", "ZONES", "WHICH", "NOT MORE, FOR"}, rows); err != nil {
		return err
	}
	if more := len(p.Steps) - len(rows); more > 0 {
		fmt.Fprintf(w, "… and %s (-o wide lists them)\n", count(more, "more step"))
	}
	if p.Surge != nil {
		o.paragraph(w, "SURGE  ", fmt.Sprintf("%s find no room: add %s CPU and %s memory %s first", count(p.Surge.Pods, "pod"), p.Surge.CPU, p.Surge.Memory, escape(p.Surge.Where)))
	}
	for _, s := range p.Stuck[:o.atMost(causes, len(p.Stuck))] {
		o.paragraph(w, "STUCK  ", escape(s.Node+": "+s.Reason))
		o.fixes(w, s.Fixes)
	}
	if more := len(p.Stuck) - o.atMost(causes, len(p.Stuck)); more > 0 {
		fmt.Fprintf(w, "… and %s that no step can drain (-o wide lists them)\n", count(more, "more node"))
	}
	return nil
}
