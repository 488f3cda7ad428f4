package printer

import (
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
