package printer

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// csv writes every finding as RFC 4180 has it, the platform's and those of a
// baseline too: columns tell them apart.
func (o Options) csv(w io.Writer, d *report.Diagnosis) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	rows := [][]string{{"severity", "practice", "chapter", "namespace", "apiVersion", "kind", "name", "path", "message", "fix", "file", "line", "platform", "baseline"}}
	if o.NoHeaders {
		rows = nil
	}
	for f, state := range baselined(d) {
		row := []string{
			string(f.Severity), f.Practice, f.Chapter, f.Object.Namespace, f.Object.APIVersion, f.Object.Kind, f.Object.Name,
			f.Path, f.Message, f.Fix, f.File, line(f.Line), strconv.FormatBool(f.Platform), string(state),
		}
		for i := range row {
			row[i] = cell(row[i])
		}
		rows = append(rows, row)
	}
	return out.WriteAll(rows)
}

func line(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// cell is text that a spreadsheet does not take for a formula: whoever may
// name an object could otherwise run a command where the report is opened.
// https://owasp.org/www-community/attacks/CSV_Injection
func cell(text string) string {
	text = escape(text)
	if strings.ContainsAny(text[:min(len(text), 1)], `=+-@\|`) || strings.ContainsAny(firstRune(text), "＝＋－＠") {
		return "'" + text
	}
	return text
}

func firstRune(text string) string {
	for _, r := range text {
		return string(r)
	}
	return ""
}
