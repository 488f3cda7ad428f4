package printer

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Hardening prints what harden would write, or what it wrote.
func (o Options) Hardening(w io.Writer, h *report.Hardening) error {
	switch {
	case o.Format == "name":
		return hardenedNames(w, h)
	case !o.human():
		return o.object(w, h)
	case o.Format == "wide":
		for i := range h.Changes {
			if err := o.HardenChange(w, &h.Changes[i], len(h.Changes)); err != nil {
				return err
			}
		}
	default:
		if err := o.hardenTable(w, h); err != nil {
			return err
		}
	}
	return o.hardenRest(w, h)
}

// hardenedNames prints each object with a change once, as kubectl takes it.
func hardenedNames(w io.Writer, h *report.Hardening) error {
	printed := map[report.Object]bool{}
	for _, c := range h.Changes {
		for _, write := range c.Writes {
			if printed[write.Object] {
				continue
			}
			printed[write.Object] = true
			if _, err := fmt.Fprintln(w, escape(write.Object.String())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o Options) hardenTable(w io.Writer, h *report.Hardening) error {
	header := []string{"#", "SEVERITY", "PRACTICE", "OBJECT", "STATE", "WHAT"}
	if o.NoHeaders {
		header = nil
	}
	var rows [][]string
	for _, c := range h.Changes {
		rows = append(rows, []string{
			fmt.Sprint(c.Number), o.severity(c.Severity), c.Practice, escape(spaced(c.Object)), o.hardenState(c.State), escape(cmp.Or(c.StateReason, what(c))),
		})
	}
	return o.table(w, header, rows)
}

// what says in short what a change writes.
func what(c report.HardenChange) string {
	var parts []string
	for _, write := range c.Writes {
		if write.Create {
			parts = append(parts, "creates "+write.Object.String())
		}
		for _, f := range write.Fields {
			parts = append(parts, lastOf(f.Path)+": "+fromTo(f))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), c.Does)
}

// fromTo is a field's change on part of a line.
func fromTo(f report.HardenField) string {
	const most = 40
	switch {
	case f.To == "":
		return "removed"
	case len(f.From) > most:
		return "changed"
	case len(f.To) > most:
		return "set"
	}
	return fmt.Sprintf("%s → %s", cmp.Or(f.From, "unset"), f.To)
}

// lastOf shortens a field's path to what the reader looks for.
func lastOf(path string) string {
	for _, prefix := range []string{"spec.template.spec.", "spec.jobTemplate.spec.template.spec.", "spec."} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			return rest
		}
	}
	return path
}

func spaced(object report.Object) string {
	if object.APIVersion != "" && object.Namespace == "" {
		return object.String()
	}
	return strings.Replace(qualified(object), "/", " ", min(1, len(object.Namespace)))
}

func (o Options) hardenState(s report.HardenState) string {
	switch s {
	case report.Applied:
		return o.paint(green, string(s))
	case report.Proposed:
		return o.paint(cyan, string(s))
	case report.Stuck:
		return o.paint(bold+red, string(s))
	case report.Skipped:
		return string(s)
	default:
		return o.paint(yellow, string(s))
	}
}

// hardenRest prints what there is beside the changes.
func (o Options) hardenRest(w io.Writer, h *report.Hardening) error {
	if len(h.Changes) == 0 {
		fmt.Fprintln(w, "nothing to change")
	}
	if len(h.Unsafe) > 0 {
		fmt.Fprintf(w, "\n%d findings for which nothing safe can be proposed:\n", len(h.Unsafe))
		var rows [][]string
		for _, u := range h.Unsafe {
			rows = append(rows, []string{u.Practice, escape(spaced(u.Object)), escape(u.Reason)})
		}
		if err := o.table(w, nil, rows); err != nil {
			return err
		}
	}
	if h.Platform > 0 {
		fmt.Fprintf(w, "\n%d findings on the platform's own objects are left alone (-n kube-system names them)\n", h.Platform)
	}
	for _, n := range h.NotChecked {
		fmt.Fprintf(w, "not checked: %s: %s: %s (%s)\n", escape(n.Subject), n.State, escape(n.Reason), strings.Join(concerned(n), ", "))
	}
	return nil
}

// HardenChange prints one change in full: why, what, what may go wrong, and
// the diff.
func (o Options) HardenChange(w io.Writer, c *report.HardenChange, of int) error {
	fmt.Fprintf(w, "\n%s   %s   %s\n", o.paint(bold, fmt.Sprintf("change %d of %d", c.Number, of)), o.paint(bold, c.Practice), escape(qualified(c.Object)))
	for _, f := range c.Findings {
		o.labelled(w, "found", f)
	}
	o.labelled(w, "reason", c.Reason)
	o.labelled(w, "does", c.Does)
	o.labelled(w, "numbers", c.Why)
	if len(c.Also) > 0 {
		o.labelled(w, "also", "mends "+strings.Join(c.Also, ", "))
	}
	o.labelled(w, "effect", c.Effect)
	o.labelled(w, "risk", c.Risk)
	for _, note := range c.Notes {
		o.labelled(w, "note", note)
	}
	for _, write := range c.Writes {
		if err := o.diff(w, write.Diff); err != nil {
			return err
		}
	}
	if c.State != report.Proposed {
		o.labelled(w, string(c.State), c.StateReason)
	}
	for _, write := range c.Writes {
		if write.Patch == "" {
			continue
		}
		fmt.Fprintf(w, "  the patch for Git:\n")
		for line := range strings.Lines(write.Patch) {
			fmt.Fprintf(w, "    %s\n", escapeLine(line))
		}
	}
	return nil
}

// labelled prints a text behind its label, wrapped to the terminal.
func (o Options) labelled(w io.Writer, label, text string) {
	if text == "" {
		return
	}
	const indent = 11
	lines := []string{escape(text)}
	if o.Width > 2*indent {
		lines = wrap(escape(text), o.Width-indent)
	}
	pad := strings.Repeat(" ", max(1, indent-2-twwidth.Width(label)))
	for i, line := range lines {
		if i == 0 {
			fmt.Fprintf(w, "  %s%s%s\n", o.paint(cyan, label), pad, line)
		} else {
			fmt.Fprintf(w, "%s%s\n", strings.Repeat(" ", indent), line)
		}
	}
}

// Diff prints a unified diff: as it is, for `git apply`, or in colours for a
// reader.
func (o Options) Diff(w io.Writer, diff []byte) error {
	if o.Color {
		return o.diff(w, string(diff))
	}
	_, err := w.Write(diff)
	return err
}

// diff prints a unified diff in colours, without the line that names the tool.
func (o Options) diff(w io.Writer, text string) error {
	for line := range strings.Lines(text) {
		shown := escapeLine(line)
		colour := ""
		switch {
		case strings.HasPrefix(line, "diff "):
			continue
		case strings.HasPrefix(line, "+++") || strings.HasPrefix(line, "---"):
			colour = bold
		case strings.HasPrefix(line, "+"):
			colour = green
		case strings.HasPrefix(line, "-"):
			colour = red
		case strings.HasPrefix(line, "@@"):
			colour = cyan
		}
		if _, err := fmt.Fprintln(w, o.paint(colour, shown)); err != nil {
			return err
		}
	}
	return nil
}

// escapeLine is escape for a line whose spaces count.
func escapeLine(line string) string {
	var b strings.Builder
	for _, r := range strings.TrimRight(line, "\n") {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// HardenSummary prints what became of the changes of a run, and how to take
// them back.
func (o Options) HardenSummary(w io.Writer, h *report.Hardening) error {
	if !o.human() && o.Format != "name" {
		return o.object(w, h)
	}
	var parts []string
	for _, state := range []report.HardenState{report.Applied, report.Unverified, report.RolledBack, report.Stuck, report.Refused, report.Skipped} {
		if n := h.Count(state); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o.hardenState(state)))
		}
	}
	if len(parts) == 0 {
		return o.hardenRest(w, h)
	}
	fmt.Fprintf(w, "\n%s\n", strings.Join(parts, ", "))
	if err := o.hardenTable(w, h); err != nil {
		return err
	}
	if err := o.hardenRest(w, h); err != nil {
		return err
	}
	var written []string
	for _, c := range h.Changes {
		if c.State == report.Applied || c.State == report.Unverified || c.State == report.Stuck {
			written = append(written, c.ID)
		}
	}
	if len(written) > 0 {
		fmt.Fprintf(w, "\nto take it back, all or one:\n  kubectl prod harden undo --all\n  kubectl prod harden undo %s\n", written[len(written)-1])
	}
	return nil
}

// HardenHistory prints the journal.
func (o Options) HardenHistory(w io.Writer, h *report.HardenHistory) error {
	if o.Format == "name" {
		for _, r := range h.Items {
			fmt.Fprintln(w, r.ID)
		}
		return nil
	}
	if !o.human() {
		return o.object(w, h)
	}
	if len(h.Items) == 0 {
		_, err := fmt.Fprintln(w, "harden has written nothing yet")
		return err
	}
	header := []string{"CHANGE", "CONTEXT", "STATE", "PRACTICES", "OBJECTS"}
	if o.Format == "wide" {
		header = append(header, "NOTE")
	}
	var rows [][]string
	for _, r := range h.Items {
		var objects []string
		for _, object := range r.Objects {
			objects = append(objects, spaced(object))
		}
		row := []string{r.ID, escape(cmp.Or(r.Context, r.Server)), r.State, strings.Join(r.Practices, ", "), escape(strings.Join(objects, ", "))}
		if o.Format == "wide" {
			row = append(row, escape(r.Note))
		}
		rows = append(rows, row)
	}
	if o.NoHeaders {
		header = nil
	}
	return o.table(w, header, rows)
}
