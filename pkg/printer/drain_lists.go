package printer

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func (o Options) drainPlacement(w io.Writer, d *report.DrainCheck) error {
	p := d.Placement
	if p.Replaced == 0 || d.Plan != nil {
		return nil
	}
	line := fmt.Sprintf("replacements that find a node: %d of %d", p.Placed, p.Replaced)
	if p.Unplaced > 0 {
		line += fmt.Sprintf("; that find none: %d", p.Unplaced)
	}
	if p.Unknown > 0 {
		line += fmt.Sprintf("; of which nobody can tell: %d", p.Unknown)
	}
	fmt.Fprintf(w, "%s  %s (the scheduler's own plugins; likely nodes)\n", o.paint(bold, "PLACEMENT"), line)
	var rows [][]string
	for _, n := range p.Nodes[:o.atMost(shownTargets, len(p.Nodes))] {
		rows = append(rows, []string{"  " + escape(n.Name), escape(cmp.Or(n.Zone, "-")), fmt.Sprintf("+%d", n.Pods), fmt.Sprintf("%d%%", n.CPU), fmt.Sprintf("%d%%", n.Memory)})
	}
	if err := o.table(w, []string{"  NODE", "ZONE", "PODS", "CPU THEN", "MEMORY THEN"}, rows); err != nil {
		return err
	}
	if more := len(p.Nodes) - len(rows); more > 0 {
		fmt.Fprintf(w, "  … and %s more\n", count(more, "node"))
	}
	if len(p.Waiting) > 0 {
		fmt.Fprintf(w, "  %s without a node already and compete\n", goWithout(len(p.Waiting)))
	}
	return nil
}

func goWithout(n int) string {
	if n == 1 {
		return "1 pod is"
	}
	return fmt.Sprintf("%d pods are", n)
}

func (o Options) drainBudgets(w io.Writer, d *report.DrainCheck) error {
	var rows [][]string
	for _, b := range d.Budgets {
		if o.Format == "wide" || b.Waves > 1 || b.Block > 0 {
			rows = append(rows, []string{
				escape(b.Namespace + "/" + b.Name), b.Rule, fmt.Sprintf("%d/%d", b.Healthy, b.Expected), fmt.Sprint(b.Desired), fmt.Sprint(b.Allowed),
				fmt.Sprint(b.Evict), fmt.Sprint(b.Block), fmt.Sprint(b.Waves),
			})
		}
	}
	return o.table(w, []string{"BUDGET", "RULE", "HEALTHY", "NEEDED", "ALLOWS", "EVICTED", "BLOCKED", "WAVES"}, rows)
}

func (o Options) drainNodes(w io.Writer, d *report.DrainCheck) error {
	var rows [][]string
	for _, n := range d.Nodes {
		state := "ready"
		if !n.Ready {
			state = "not ready"
		}
		if n.Cordoned {
			state += ", cordoned"
		}
		if n.Refused {
			state += ", refused as typed"
		}
		rows = append(rows, []string{escape(n.Name), escape(cmp.Or(n.Zone, "-")), fmt.Sprint(n.Evict), fmt.Sprint(n.Skip), fmt.Sprint(n.Block), state})
	}
	return o.table(w, []string{"NODE", "ZONE", "EVICT", "STAY", "BLOCKED", "STATE"}, rows)
}

// drainPods lists every pod with what becomes of it.
func (o Options) drainPods(w io.Writer, d *report.DrainCheck) error {
	var rows [][]string
	for _, p := range d.Pods {
		wave := "-"
		if p.Wave > 0 {
			wave = fmt.Sprint(p.Wave)
		}
		rows = append(rows, []string{escape(p.Node), escape(p.Namespace), escape(p.Name), string(p.Outcome), wave, escape(cmp.Or(p.To, "-")), escape(cmp.Or(podRemark(p), "-"))})
	}
	return o.table(w, []string{"NODE", "NAMESPACE", "POD", "OUTCOME", "WAVE", "TO", "REMARK"}, rows)
}

// podRemark is all that is to say about a pod.
func podRemark(p report.DrainPod) string {
	var parts []string
	for _, r := range p.Reasons {
		text := r.Message
		if r.Code != 0 {
			text = fmt.Sprintf("%d %s", r.Code, text)
		}
		parts = append(parts, text)
	}
	if len(p.Preempts) > 0 {
		parts = append(parts, "preempts "+strings.Join(p.Preempts, ", "))
	}
	if p.Outcome == report.DrainEvicted && !p.Replaced {
		parts = append(parts, "not made anew")
	}
	if p.DependsOnOrder {
		parts = append(parts, "finds a node in some orders alone")
	}
	return strings.Join(append(parts, nonEmpty(p.Unplaced, p.Unknown)...), "; ")
}

func nonEmpty(texts ...string) []string {
	var all []string
	for _, text := range texts {
		if text != "" {
			all = append(all, text)
		}
	}
	return all
}

func (o Options) drainTime(w io.Writer, d *report.DrainCheck) error {
	var rows [][]string
	for _, p := range d.Duration.Parts {
		rows = append(rows, []string{span(p.Seconds), escape(p.What)})
	}
	return o.table(w, []string{"TAKES", "WHAT"}, rows)
}
