package printer

import (
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func (o Options) catalogueTable(w io.Writer, c *report.Catalogue) error {
	header := []string{"ID", "CHAPTER", "SEVERITY", "JUDGED FROM", "TITLE"}
	if o.Format == "wide" {
		header = []string{"ID", "CHAPTER", "SEVERITY", "JUDGED FROM", "HARDEN", "READS", "TITLE"}
	}
	var rows [][]string
	for _, p := range c.Items {
		from := "manifests, cluster"
		if p.LiveOnly {
			from = "cluster"
		}
		if p.Optional {
			from += " (when named)"
		}
		row := []string{p.ID, p.Chapter, o.severity(p.Severity), from}
		if o.Format == "wide" {
			row = append(row, remedied(p), strings.Join(p.Reads, ","))
		}
		rows = append(rows, append(row, p.Title))
	}
	if o.NoHeaders {
		header = nil
	}
	return o.table(w, header, rows)
}

// remedied says in a word whether harden has a remedy.
func remedied(p report.Practice) string {
	switch {
	case p.Harden == "":
		return "-"
	case p.HardenOptIn:
		return "when named"
	case p.HardenManifestsOnly:
		return "manifests"
	default:
		return "yes"
	}
}

// hardens is what the remedy does, and how to have it done.
func hardens(p report.Practice) string {
	if p.Harden == "" {
		return ""
	}
	command := "kubectl prod harden --fix " + p.ID
	if p.HardenManifestsOnly {
		command = "kubectl prod harden -f FILE --fix " + p.ID
	}
	return strings.ToUpper(p.Harden[:1]) + p.Harden[1:] + ". " + command
}

// explainWidth keeps running text readable on wide terminals.
const explainWidth = 80

func (o Options) explain(w io.Writer, c *report.Catalogue) error {
	for i, p := range c.Items {
		if i > 0 {
			fmt.Fprintln(w)
		}
		from := "manifests or a cluster"
		if p.LiveOnly {
			from = "a cluster"
		}
		if p.Optional {
			from += ", only when --check names it"
		}
		fmt.Fprintf(w, "%s   %s   %s\n%s\n", o.paint(bold, p.ID), o.severity(p.Severity), p.Chapter, p.Title)
		for _, part := range []struct{ heading, text string }{
			{"Why it matters", p.Reason},
			{"How it is judged", p.Judged + " Judged from " + from + "."},
			{"How to mend it", p.Fix},
			{"What harden does", hardens(p)},
			{"What it reads", strings.Join(p.Reads, ", ")},
		} {
			if part.text == "" {
				continue
			}
			fmt.Fprintf(w, "\n%s\n", o.paint(bold, part.heading))
			for _, line := range wrap(part.text, explainWidth-2) {
				fmt.Fprintf(w, "  %s\n", line)
			}
		}
		if len(p.Thresholds) > 0 {
			fmt.Fprintf(w, "\n%s\n", o.paint(bold, "Thresholds that you may change"))
			for _, t := range p.Thresholds {
				fmt.Fprintf(w, "  %s: %g   %s\n", t.Name, t.Value, t.Meaning)
			}
		}
		fmt.Fprintf(w, "\n%s\n", o.paint(bold, "Sources"))
		for _, source := range p.Sources {
			fmt.Fprintf(w, "  %s\n", source)
		}
	}
	return nil
}

// wrap breaks text into lines of at most width characters, at spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
