package printer

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// drainMarkdown writes the result for a change ticket.
func (o Options) drainMarkdown(w io.Writer, d *report.DrainCheck) error {
	evict, skip, block := tally(d)
	fmt.Fprintf(w, "## kubectl prod drain-check: %s\n\n**%s**: %s\n\n", d.Verdict, markdownText(drainSubject(d)), markdownText(d.Summary))
	fmt.Fprintf(w, "%s to evict, %d blocked, %d stay with their nodes; %s. Asked: %s at %s.\n", count(evict, "pod"), block, skip, took(d.Duration),
		markdownCode(d.Asked), d.Time.UTC().Format("2006-01-02 15:04:05 MST"))
	if len(d.Blockers) > 0 {
		fmt.Fprint(w, "\n### Blocked by\n\n| what | why | pods | fix |\n|---|---|--:|---|\n")
		for _, b := range d.Blockers {
			fmt.Fprintf(w, "| %s | %s | %d | %s |\n", markdownCode(qualified(b.Object)), markdownText(b.Message), len(b.Pods), codes(b.Fixes))
		}
	}
	if len(d.Consequences) > 0 {
		fmt.Fprint(w, "\n### Consequences\n\n| severity | object | what |\n|---|---|---|\n")
		for _, c := range d.Consequences {
			fmt.Fprintf(w, "| %s | %s | %s |\n", c.Severity, markdownCode(qualified(c.Object)), markdownText(c.Message))
		}
	}
	planMarkdown(w, d)
	fmt.Fprintf(w, "\n### Placement\n\n%d of %s find a node, %d find none, of %d nobody can tell.\n", d.Placement.Placed, count(d.Placement.Replaced, "replacement"), d.Placement.Unplaced, d.Placement.Unknown)
	if len(d.Pods) > 0 {
		fmt.Fprintf(w, "\n<details><summary>Every pod (%d)</summary>\n\n| node | pod | outcome | wave | to | remark |\n|---|---|---|--:|---|---|\n", len(d.Pods))
		written := 0
		for i, p := range d.Pods {
			row := fmt.Sprintf("| %s | %s | %s | %d | %s | %s |\n", markdownCode(p.Node), markdownCode(p.Namespace+"/"+p.Name), p.Outcome, p.Wave,
				markdownText(cmp.Or(p.To, "-")), markdownText(cmp.Or(podRemark(p), "-")))
			if written += len(row); written > markdownRoom {
				fmt.Fprintf(w, "\n… and %d more: -o json has them.\n", len(d.Pods)-i)
				break
			}
			fmt.Fprint(w, row)
		}
		fmt.Fprint(w, "\n</details>\n")
	}
	if len(d.Unknowns) > 0 {
		fmt.Fprint(w, "\n### Not known\n\n")
		for _, u := range d.Unknowns {
			fmt.Fprintf(w, "- %s: %s\n", markdownText(u.Subject), markdownText(u.Reason))
		}
	}
	if d.Command != "" && d.Plan == nil {
		fmt.Fprintf(w, "\n### The drain\n\n```sh\n%s\n```\n", escape(d.Command))
	}
	return nil
}

func codes(fixes []string) string {
	var parts []string
	for _, fix := range fixes {
		parts = append(parts, markdownCode(fix))
	}
	return cmp.Or(strings.Join(parts, "<br>"), "-")
}

func planMarkdown(w io.Writer, d *report.DrainCheck) {
	if d.Plan == nil {
		return
	}
	fmt.Fprintf(w, "\n### Plan\n\n%s, %s move, some %s.\n\n| step | nodes | pods | waves | takes | which | not more, for |\n|--:|--:|--:|--:|---|---|---|\n",
		count(len(d.Plan.Steps), "step"), count(d.Plan.Moves, "pod"), span(d.Plan.Seconds))
	for i, s := range d.Plan.Steps {
		fmt.Fprintf(w, "| %d | %d | %d | %d | %s | %s | %s |\n", i+1, len(s.Nodes), s.Pods, s.Waves, span(s.Seconds), markdownText(strings.Join(s.Nodes, " ")), markdownText(s.Limit))
	}
	for _, s := range d.Plan.Stuck {
		fmt.Fprintf(w, "\n- stuck: %s: %s %s", markdownCode(s.Node), markdownText(s.Reason), codes(s.Fixes))
	}
	if d.Plan.Surge != nil {
		fmt.Fprintf(w, "\nSurge: %s CPU and %s memory %s.\n", d.Plan.Surge.CPU, d.Plan.Surge.Memory, markdownText(d.Plan.Surge.Where))
	}
}
