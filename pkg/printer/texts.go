package printer

import (
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// home is where the project lives.
const home = "https://github.com/kubectl-prod/kubectl-prod"

// docsPage is the page about a practice.
func docsPage(id string) string { return home + "/blob/main/docs/practices/" + id + ".md" }

// texts are what the catalogue says of each practice.
type texts map[string]report.Practice

func (o Options) texts() texts {
	all := texts{}
	for _, p := range o.Practices {
		all[p.ID] = p
	}
	return all
}

// of is what is said of a practice; of one that is not in the catalogue, its
// name.
func (t texts) of(id string) report.Practice {
	if p, ok := t[id]; ok {
		return p
	}
	return report.Practice{ID: id, Title: id, Reason: id}
}

// qualified names an object in full, as kubectl would with its namespace.
func qualified(object report.Object) string {
	switch {
	case object.APIVersion == "":
		return "cluster" // a finding on the cluster as a whole
	case object.Namespace != "":
		return object.Namespace + "/" + object.String()
	default:
		return object.String()
	}
}

// sentences joins a finding's message and what to do about it.
func sentences(message, fix string) string {
	text := escape(message)
	if fix != "" {
		text += ". Fix: " + escape(fix)
	}
	return text
}

// concerned are the practices that a gap concerns.
func concerned(n report.NotChecked) []string {
	practices := slices.Clone(n.Practices)
	for _, p := range n.Partly {
		practices = append(practices, p+" (in part)")
	}
	return practices
}

// reasonsByPractice tells for each practice why it was not checked, or was
// checked in part only.
func reasonsByPractice(d *report.Diagnosis) (unchecked, partly map[string]string) {
	unchecked, partly = map[string]string{}, map[string]string{}
	note := func(reasons map[string]string, practices []string, n report.NotChecked) {
		for _, id := range practices {
			why := escape(strings.TrimSpace(n.Subject + ": " + n.State + ": " + n.Reason))
			if before, ok := reasons[id]; ok {
				why = before + "; " + why
			}
			reasons[id] = why
		}
	}
	for _, n := range d.NotChecked {
		note(unchecked, n.Practices, n)
		note(partly, n.Partly, n)
	}
	return unchecked, partly
}

// usersFindings are the findings that count: not the platform's.
func usersFindings(d *report.Diagnosis) []report.Finding {
	return slices.DeleteFunc(slices.Clone(d.Findings), func(f report.Finding) bool { return f.Platform })
}
