package printer

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// The page's own parts. Whatever a cluster says goes through html/template;
// these go in as they are, and the policy admits them by their hashes alone.
//
//go:embed page/report.html.tmpl
var htmlTemplate string

//go:embed page/style.css
var htmlStyle string

//go:embed page/script.js
var htmlScript string

// htmlPage is what the template shows, in the order of the screen.
type htmlPage struct {
	Policy     string
	Style      template.CSS
	Script     template.JS
	Home       string
	Version    string
	Time       string
	Subject    []string
	Verdict    string
	Grade      string // good, fair or poor
	Score      report.Score
	Unchecked  int
	Practices  int
	Worst      []htmlGroup
	More       int
	Chapters   []htmlChapter
	Changes    []report.Change
	Events     []report.EventGroup
	Findings   []htmlGroup
	Shown      int
	Platform   []htmlGroup
	Ignored    []report.IgnoredFinding
	NotChecked []report.NotChecked
	Namespaces []string
}

type htmlChapter struct {
	report.ChapterScore
	Grade string
}

// htmlGroup is the findings of one practice.
type htmlGroup struct {
	report.Practice
	Severity report.Severity // of the worst finding, which may differ from the practice's
	Page     string
	Objects  int
	Findings []htmlFinding
}

type htmlFinding struct {
	report.Finding
	Where string
	Fix   string // "" where it is the practice's own
}

// html writes the result as one file that needs nothing else: no network, no
// script either, though with one it can be filtered.
func (o Options) html(w io.Writer, d *report.Diagnosis) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"escape":    escape,
		"short":     func(o report.Object) string { return strings.ToLower(o.Kind) + "/" + o.Name },
		"ago":       func(t metav1.Time) string { return ago(d, t) },
		"concerned": concerned,
		"join":      func(parts []string) string { return strings.Join(parts, ", ") },
		"count":     count,
	}).Parse(htmlTemplate)
	if err != nil {
		return fmt.Errorf("html: %w", err)
	}
	return page.Execute(w, o.htmlPage(d))
}

func (o Options) htmlPage(d *report.Diagnosis) htmlPage {
	page := htmlPage{
		Policy: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'", hash(htmlStyle), hash(htmlScript)),
		Style:  template.CSS(htmlStyle), //nolint:gosec // our own, embedded
		Script: template.JS(htmlScript), //nolint:gosec // our own, embedded
		Home:   home, Version: o.Version,
		Time:    d.Time.UTC().Format("2006-01-02 15:04 UTC"),
		Verdict: verdict(d), Grade: grade(d.Score), Score: d.Score,
		Unchecked: unchecked(d), Practices: len(d.Practices), NotChecked: d.NotChecked, Ignored: d.Ignored, Changes: d.Changes, Events: d.Events,
	}
	for part := range strings.SplitSeq(subject(d.Origin), gap) {
		if part = strings.TrimSpace(part); part != "" {
			page.Subject = append(page.Subject, part)
		}
	}
	for _, c := range d.Chapters {
		if c.Percent != nil || c.Critical+c.Warning+c.Info > 0 {
			page.Chapters = append(page.Chapters, htmlChapter{c, grade(c.Score)})
		}
	}
	users := usersFindings(d)
	page.Findings, page.Shown = o.htmlGroups(users), len(users)
	page.Worst = page.Findings[:min(len(page.Findings), worstPractices)]
	page.More = len(page.Findings) - len(page.Worst)
	page.Platform = o.htmlGroups(platformsFindings(d))
	page.Namespaces = namespacesOf(users)
	return page
}

// htmlGroups are the findings by practice, worst first, as on the screen.
func (o Options) htmlGroups(findings []report.Finding) []htmlGroup {
	texts := o.texts()
	byPractice := map[string][]htmlFinding{}
	var counted []report.Finding
	for _, f := range findings {
		shown := htmlFinding{Finding: f, Where: location(f)}
		if f.Fix != texts[f.Practice].Fix {
			shown.Fix = f.Fix
		}
		byPractice[f.Practice] = append(byPractice[f.Practice], shown)
		f.Platform = false // groups leaves those out
		counted = append(counted, f)
	}
	var all []htmlGroup
	for _, g := range groups(counted, func(f report.Finding) string { return f.Practice }) {
		id := g.worst.Practice
		text := texts.of(id)
		text.Chapter = g.worst.Chapter
		all = append(all, htmlGroup{Practice: text, Severity: g.worst.Severity, Page: docsPage(id), Objects: g.objects, Findings: byPractice[id]})
	}
	return all
}

func platformsFindings(d *report.Diagnosis) []report.Finding {
	return slices.DeleteFunc(slices.Clone(d.Findings), func(f report.Finding) bool { return !f.Platform })
}

func namespacesOf(findings []report.Finding) []string {
	var all []string
	for _, f := range findings {
		if f.Object.Namespace != "" {
			all = append(all, f.Object.Namespace)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// grade is the colour of a score, by the same rule as on the screen.
func grade(s report.Score) string {
	switch {
	case s.Critical > 0:
		return "poor"
	case s.Warning > 0:
		return "fair"
	default:
		return "good"
	}
}

// hash is a source as a Content-Security-Policy names it.
func hash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
