package printer

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// DrainFormats are the values of -o for a DrainCheck.
func DrainFormats() []string {
	return []string{"table", "wide", "markdown", "json", "yaml", "kyaml", "name", "jsonpath=", "jsonpath-file=", "go-template=", "go-template-file="}
}

// How much of a long list the default view shows; -o wide shows all.
const (
	shownPods    = 5
	shownTargets = 5
	shownFixes   = 2
	shownSteps   = 12

	shownConsequences = 10
	defaultColumn     = 100
)

// DrainCheck prints the result of drain-check.
func (o Options) DrainCheck(w io.Writer, d *report.DrainCheck) error {
	switch {
	case o.Format == "markdown":
		return o.drainMarkdown(w, d)
	case o.Format == "name":
		for _, pod := range d.Pods {
			if pod.Outcome == report.DrainEvicted {
				fmt.Fprintln(w, escape("pod/"+pod.Name))
			}
		}
		return nil
	case !o.human():
		return o.object(w, d)
	}
	sections := []func(io.Writer, *report.DrainCheck) error{
		o.drainHeading, o.drainBlockers, o.drainConsequences, o.drainPlan, o.drainPlacement, o.drainBudgets, o.drainUnknowns, o.drainNext,
	}
	if o.Format == "wide" {
		sections = []func(io.Writer, *report.DrainCheck) error{
			o.drainHeading, o.drainBlockers, o.drainConsequences, o.drainPlan, o.drainNodes, o.drainPods, o.drainPlacement, o.drainBudgets, o.drainTime, o.drainUnknowns, o.drainNext,
		}
	}
	return inSections(w, d, sections)
}

func (o Options) drainHeading(w io.Writer, d *report.DrainCheck) error {
	word := strings.ToUpper(string(d.Verdict))
	colour := bold + green
	switch d.Verdict {
	case report.VerdictBlocked, report.VerdictBreaks:
		colour = bold + red
	case report.VerdictUnknown:
		word, colour = "CANNOT TELL", bold+yellow
	}
	fmt.Fprintf(w, "%s  %s: %s\n", o.paint(colour, word), escape(drainSubject(d)), escape(d.Summary))
	evict, skip, block := tally(d)
	if d.Plan != nil {
		return nil
	}
	line := fmt.Sprintf("%s to evict", count(evict, "pod"))
	if block > 0 {
		line += fmt.Sprintf(", %d blocked", block)
	}
	line += fmt.Sprintf(", %d stay with their nodes", skip)
	if d.Duration.Waves > 0 {
		line += "; " + took(d.Duration)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// drainSubject names the nodes and the cluster.
func drainSubject(d *report.DrainCheck) string {
	nodes := count(len(d.Nodes), "node")
	if len(d.Nodes) == 1 {
		nodes = "node " + d.Nodes[0].Name
		if d.Nodes[0].Cordoned {
			nodes += " (cordoned already)"
		}
		if !d.Nodes[0].Ready {
			nodes += " (not ready)"
		}
	}
	if d.Origin.Context != "" {
		nodes += " of " + d.Origin.Context
	}
	return nodes
}

func tally(d *report.DrainCheck) (evict, skip, block int) {
	for _, n := range d.Nodes {
		evict, skip, block = evict+n.Evict, skip+n.Skip, block+n.Block
	}
	return evict, skip, block
}

// took words an estimate.
func took(d report.DrainDuration) string {
	return fmt.Sprintf("some %s in %s, at most %s (estimates)", span(d.Seconds), count(d.Waves, "wave"), span(d.AtMost))
}

// span words seconds, as kubectl words ages.
func span(seconds int64) string { return duration.HumanDuration(time.Duration(seconds) * time.Second) }

// column is the width that texts are wrapped at.
func (o Options) column() int {
	if o.Width > 0 {
		return o.Width
	}
	return defaultColumn
}

// paragraph writes text with a hanging indent.
func (o Options) paragraph(w io.Writer, lead, text string) {
	indent := strings.Repeat(" ", len(lead))
	for i, line := range wrap(text, max(o.column()-len(lead), narrowest)) {
		if i == 0 {
			fmt.Fprintln(w, lead+line)
		} else {
			fmt.Fprintln(w, indent+line)
		}
	}
}

func (o Options) drainBlockers(w io.Writer, d *report.DrainCheck) error {
	if len(d.Blockers) == 0 {
		return nil
	}
	fmt.Fprintln(w, o.paint(bold, "BLOCKED BY"))
	for _, b := range d.Blockers {
		text := escape(b.Message)
		if b.Kind != "flag" && b.Kind != "timeout" {
			text = objectName(b.Object) + ": " + text
		}
		o.paragraph(w, "  ", text)
		if b.Kind != "timeout" {
			o.paragraph(w, "    pods: ", o.some(b.Pods))
		}
		o.fixes(w, b.Fixes)
	}
	return nil
}

// some lists names, as many as the view has room for.
func (o Options) some(names []string) string {
	shown := names[:o.atMost(shownPods, len(names))]
	text := escape(strings.Join(shown, ", "))
	if more := len(names) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// fixes are never wrapped: they are there to be copied.
func (o Options) fixes(w io.Writer, fixes []string) {
	for i, fix := range fixes[:o.atMost(shownFixes, len(fixes))] {
		lead := "    fix: "
		if i > 0 {
			lead = "     or: "
		}
		if remark, only := strings.CutPrefix(fix, "# "); only {
			o.paragraph(w, lead, escape(remark))
			continue
		}
		fmt.Fprintln(w, lead+o.paint(cyan, escape(fix)))
	}
}

func (o Options) drainConsequences(w io.Writer, d *report.DrainCheck) error {
	if len(d.Consequences) == 0 {
		return nil
	}
	fmt.Fprintln(w, o.paint(bold, "CONSEQUENCES"))
	shown := d.Consequences
	if o.Format != "wide" {
		shown = folded(shown)
	}
	room := o.atMost(shownConsequences, len(shown))
	for _, c := range shown[:room] {
		lead := fmt.Sprintf("  %-8s  ", c.Severity)
		var b strings.Builder
		text := escape(c.Message)
		if c.Object.Name != "" {
			text = objectName(c.Object) + ": " + text
		}
		o.paragraph(&b, lead, text)
		fmt.Fprint(w, strings.Replace(b.String(), string(c.Severity), o.severity(c.Severity), 1))
		o.fixes(w, c.Fixes)
	}
	if more := len(shown) - room; more > 0 {
		fmt.Fprintf(w, "  … and %d more (-o wide lists them)\n", more)
	}
	return nil
}

// folded puts what is merely worth knowing on one line a kind.
func folded(all []report.DrainConsequence) []report.DrainConsequence {
	words := map[string]string{"emptydir": "lose what is in their emptyDir volumes", "device": "need devices"}
	names := map[string][]string{}
	for _, c := range all {
		if name := objectName(c.Object); words[c.Kind] != "" && !slices.Contains(names[c.Kind], name) {
			names[c.Kind] = append(names[c.Kind], name)
		}
	}
	var shown []report.DrainConsequence
	told := map[string]bool{}
	for _, c := range all {
		of := names[c.Kind]
		switch {
		case len(of) < 3:
			shown = append(shown, c)
		case !told[c.Kind]:
			told[c.Kind] = true
			shown = append(shown, report.DrainConsequence{Severity: c.Severity, Kind: c.Kind,
				Message: fmt.Sprintf("%d workloads %s: %s, %s and %d more", len(of), words[c.Kind], of[0], of[1], len(of)-2)})
		}
	}
	return shown
}

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

func (o Options) drainUnknowns(w io.Writer, d *report.DrainCheck) error {
	if len(d.Unknowns) == 0 {
		return nil
	}
	fmt.Fprintln(w, o.paint(bold, "NOT KNOWN"))
	var listed []report.DrainUnknown
	var aside []string
	for _, u := range d.Unknowns {
		if u.Allow != "" && !u.Decides && o.Format != "wide" {
			aside = append(aside, u.Subject)
		} else {
			listed = append(listed, u)
		}
	}
	shown := listed[:o.atMost(causes, len(listed))]
	if len(aside) > 0 {
		defer o.paragraph(w, "  ", "Not read, and without weight in the verdict: "+escape(strings.Join(aside, ", ")))
	}
	for _, u := range shown {
		o.paragraph(w, "  ", escape(u.Subject+": "+u.Reason))
		if u.Allow != "" && u.Decides {
			o.paragraph(w, "    needs: ", escape(u.Allow))
		}
	}
	if more := len(listed) - len(shown); more > 0 {
		fmt.Fprintf(w, "  … and %d more (-o wide lists them)\n", more)
	}
	return nil
}

// drainNext is the command to type next.
func (o Options) drainNext(w io.Writer, d *report.DrainCheck) error {
	lead := "The drain that would succeed:"
	fixes := 0
	for _, b := range d.Blockers {
		if b.Kind != "flag" {
			fixes++
		}
	}
	switch {
	case d.Plan != nil && d.Command != "":
		_, err := fmt.Fprintf(w, "The first step:\n  %s\n", o.paint(cyan, escape(d.Command)))
		return err
	case d.Plan != nil:
		return nil
	case d.Command == "":
		_, err := fmt.Fprintln(w, "No drain of these nodes would succeed as things are.")
		return err
	case d.Verdict == report.VerdictUnknown:
		return nil
	case fixes > 0:
		lead = "The drain that would succeed, after the fixes above:"
	case d.Verdict == report.VerdictBreaks || worstOf(d) == report.Critical:
		lead = "The drain that would finish:"
	}
	_, err := fmt.Fprintf(w, "%s\n  %s\n", lead, o.paint(cyan, escape(d.Command)))
	return err
}

func worstOf(d *report.DrainCheck) report.Severity {
	if len(d.Consequences) > 0 {
		return d.Consequences[0].Severity
	}
	return ""
}

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
