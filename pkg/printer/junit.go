package printer

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// JUnit has no standard; these are the elements and attributes that Jenkins,
// GitLab, GitHub's test reporters and CircleCI all read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Time      string      `xml:"time,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		ClassName string        `xml:"classname,attr"`
		Name      string        `xml:"name,attr"`
		File      string        `xml:"file,attr,omitempty"`
		Line      int           `xml:"line,attr,omitempty"`
		Time      string        `xml:"time,attr"`
		Failure   *junitFailure `xml:"failure"`
		Skipped   *junitSkipped `xml:"skipped"`
		Output    string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
)

// junit writes a test suite a chapter: a failed case for each object that a
// practice finds fault with, a passed one for each practice that finds none,
// and a skipped one for each that was not checked.
func (o Options) junit(w io.Writer, d *report.Diagnosis) error {
	all := junitSuites{Name: "kubectl prod doctor"}
	cases := o.junitCases(d)
	for _, chapter := range d.Chapters {
		suite := junitSuite{Name: chapter.Title, Timestamp: d.Time.UTC().Format("2006-01-02T15:04:05"), Time: "0", Cases: cases[chapter.Chapter]}
		for _, c := range suite.Cases {
			suite.Tests++
			switch {
			case c.Failure != nil:
				suite.Failures++
			case c.Skipped != nil:
				suite.Skipped++
			}
		}
		if suite.Tests == 0 {
			continue
		}
		all.Tests, all.Failures, all.Skipped = all.Tests+suite.Tests, all.Failures+suite.Failures, all.Skipped+suite.Skipped
		all.Suites = append(all.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// junitCases are the cases by chapter, in the order of the practices.
func (o Options) junitCases(d *report.Diagnosis) map[string][]junitCase {
	found := map[string][]report.Finding{}
	for _, f := range usersFindings(d) {
		found[f.Practice] = append(found[f.Practice], f)
	}
	unchecked, partly := reasonsByPractice(d)
	knownOnes := knownBy(d)
	cases := map[string][]junitCase{}
	for _, p := range d.Practices {
		one := junitCase{ClassName: "doctor." + p.Chapter, Name: p.ID, Time: "0"}
		if partly[p.ID] != "" {
			one.Output = "checked in part: " + partly[p.ID]
		}
		switch {
		case !p.Checked:
			one.Skipped = &junitSkipped{Message: "not checked: " + unchecked[p.ID]}
		case len(found[p.ID]) > 0:
			cases[p.Chapter] = append(cases[p.Chapter], failedCases(one, found[p.ID])...)
			continue
		case knownOnes[p.ID] > 0:
			one.Skipped = &junitSkipped{Message: "known: the baseline holds " + count(knownOnes[p.ID], "finding") + ", and nothing is new"}
		case p.Failed > 0: // --severity hides them; that is no pass
			one.Skipped = &junitSkipped{Message: fmt.Sprintf("not shown: %d of %d objects have milder findings", p.Failed, p.Judged)}
		}
		cases[p.Chapter] = append(cases[p.Chapter], one)
	}
	return cases
}

// failedCases are one case for each object among one practice's findings.
func failedCases(like junitCase, findings []report.Finding) []junitCase {
	var cases []junitCase
	at := map[report.Object]int{}
	for _, f := range findings {
		i, known := at[f.Object]
		if !known {
			i = len(cases)
			at[f.Object] = i
			one := like
			one.Name += " " + escape(qualified(f.Object))
			one.File, one.Line = escape(f.File), f.Line
			one.Failure = &junitFailure{Message: escape(f.Message), Type: string(f.Severity)}
			cases = append(cases, one)
		}
		cases[i].Failure.Text += junitText(f)
	}
	return cases
}

func junitText(f report.Finding) string {
	parts := []string{string(f.Severity) + ": " + escape(f.Message)}
	for _, part := range []struct{ name, text string }{{"at", location(f)}, {"fix", f.Fix}, {"see", docsPage(f.Practice)}} {
		if part.text != "" {
			parts = append(parts, part.name+": "+escape(part.text))
		}
	}
	return "\n" + strings.Join(parts, "\n") + "\n"
}
