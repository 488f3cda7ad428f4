package printer

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// markdownRoom bounds the list of findings: GitHub and GitLab refuse comments
// of more than 65,536 characters, and the rest of the report needs some.
const markdownRoom = 45_000

// markdown writes the result for a ticket or a comment: the verdict, the worst
// practices, the chapters, every finding folded, and what was not checked.
func (o Options) markdown(w io.Writer, d *report.Diagnosis) error {
	fmt.Fprintf(w, "## kubectl prod doctor: %s\n\n%s\n\n%s\n", verdict(d), (Options{}).counts(d.Score), subjectMarkdown(d.Origin))
	o.worstMarkdown(w, d)
	chaptersMarkdown(w, d)
	latelyMarkdown(w, d)
	findingsMarkdown(w, d)
	_, err := io.WriteString(w, notCheckedMarkdown(d))
	return err
}

// verdict is the score in words.
func verdict(d *report.Diagnosis) string {
	if d.Score.Percent == nil {
		return "no score: there was nothing to judge"
	}
	return fmt.Sprintf("score %d/100", *d.Score.Percent)
}

func subjectMarkdown(origin report.Origin) string {
	var parts []string
	for part := range strings.SplitSeq(subject(origin), gap) {
		if part != "" {
			parts = append(parts, markdownText(part))
		}
	}
	return strings.Join(parts, " · ")
}

func (o Options) worstMarkdown(w io.Writer, d *report.Diagnosis) {
	all := groups(d.Findings, func(f report.Finding) string { return f.Practice })
	if len(all) == 0 {
		return
	}
	texts := o.texts()
	fmt.Fprint(w, "\n| severity | practice | objects | worst |\n|---|---|--:|---|\n")
	for _, g := range all[:min(len(all), worstPractices)] {
		id := g.worst.Practice
		fmt.Fprintf(w, "| %s | [%s](%s) | %d | %s: %s |\n", g.worst.Severity, markdownText(texts.of(id).Title), docsPage(id),
			g.objects, markdownCode(qualified(g.worst.Object)), markdownText(g.worst.Message))
	}
	if more := len(all) - worstPractices; more > 0 {
		fmt.Fprintf(w, "\n… and %s.\n", count(more, "more practice"))
	}
}

func chaptersMarkdown(w io.Writer, d *report.Diagnosis) {
	fmt.Fprint(w, "\n| chapter | score | critical | warning | info |\n|---|--:|--:|--:|--:|\n")
	for _, c := range d.Chapters {
		if c.Percent != nil || c.Critical+c.Warning+c.Info > 0 {
			fmt.Fprintf(w, "| %s | %s | %d | %d | %d |\n", c.Title, (Options{}).score(c.Score), c.Critical, c.Warning, c.Info)
		}
	}
}

// latelyMarkdown tells what changed and what was warned of, in an incident.
func latelyMarkdown(w io.Writer, d *report.Diagnosis) {
	if len(d.Changes) > 0 {
		fmt.Fprint(w, "\n| changed | object | what | by |\n|---|---|---|---|\n")
	}
	for _, c := range d.Changes[:min(len(d.Changes), latest)] {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", ago(d, c.Time), markdownCode(qualified(c.Object)), markdownText(c.What), markdownCode(cmp.Or(c.By, "-")))
	}
	if len(d.Events) > 0 {
		fmt.Fprint(w, "\n| warned | times | object | message |\n|---|--:|---|---|\n")
	}
	for _, e := range d.Events[:min(len(d.Events), latest)] {
		fmt.Fprintf(w, "| %s | %d | %s | %s |\n", ago(d, e.Last), e.Count, markdownCode(qualified(e.Object)), markdownText(e.Reason+": "+e.Message))
	}
}

func findingsMarkdown(w io.Writer, d *report.Diagnosis) {
	findings := usersFindings(d)
	if len(findings) == 0 {
		return
	}
	fmt.Fprintf(w, "\n<details><summary>Every finding (%d)</summary>\n\n| severity | practice | object | where | message | fix |\n|---|---|---|---|---|---|\n", len(findings))
	written := 0
	for i, f := range findings {
		row := fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", f.Severity, f.Practice, markdownCode(qualified(f.Object)),
			markdownCode(cmp.Or(location(f), "-")), markdownText(f.Message), markdownText(cmp.Or(f.Fix, "-")))
		if written += len(row); written > markdownRoom {
			fmt.Fprintf(w, "\n… and %d more, which a comment has no room for: `kubectl prod doctor -o wide` lists them.\n", len(findings)-i)
			break
		}
		fmt.Fprint(w, row)
	}
	fmt.Fprint(w, "\n</details>\n")
}

func notCheckedMarkdown(d *report.Diagnosis) string {
	if len(d.NotChecked) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n<details><summary>Not checked: %d of %d practices</summary>\n\n| what | why | practices | reason |\n|---|---|---|---|\n", unchecked(d), len(d.Practices))
	for _, n := range d.NotChecked {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", markdownCode(n.Subject), n.State, markdownText(strings.Join(concerned(n), ", ")), markdownText(n.Reason))
	}
	fmt.Fprint(&b, "\n</details>\n")
	return b.String()
}

// markdownText is text that Markdown shows as it is. Where a host would make a
// link, a mention or a reference of it, which escaping does not prevent, it
// becomes code.
func markdownText(text string) string {
	text = escape(text)
	if regexp.MustCompile(`(?i)[@#]\w|://|www\.|GH-\d`).MatchString(text) {
		return markdownCode(text)
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '<':
			b.WriteString("&lt;") // no HTML, in renderers that know no escapes either
		case strings.ContainsRune("\\`*_[]|~&$", r):
			b.WriteRune('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// markdownCode is text as a code span, which has no escapes: a fence longer
// than any run of backticks inside holds it together. Inside a table a bar has
// to be escaped even so.
func markdownCode(text string) string {
	text = escape(text)
	runs := regexp.MustCompile("`+").FindAllString(text, -1)
	longest := 0
	if len(runs) > 0 {
		longest = len(slices.MaxFunc(runs, func(a, b string) int { return cmp.Compare(len(a), len(b)) }))
	}
	fence := strings.Repeat("`", longest+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + strings.ReplaceAll(text, "|", `\|`) + fence
}
