// Package printer writes reports: as tables for people, and in kubectl's own
// formats for scripts. It is the only package that knows tablewriter.
package printer

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
	"sigs.k8s.io/yaml/kyaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Options say how to print.
type Options struct {
	// Format is the value of -o: "" or table, wide, name, one of reports(), or
	// one of kubectl's (json, yaml, kyaml, jsonpath=…, go-template=… and their
	// -file forms).
	Format string
	// Color allows ANSI colours.
	Color bool
	// Width is the terminal's width, at which the table's last column is cut;
	// 0 never cuts.
	Width int
	// NoHeaders leaves the header row out of wide, list and csv tables.
	NoHeaders bool
	// ShowIgnored lists the findings that somebody set aside.
	ShowIgnored bool
	// Now shows what burns, in place of the overview.
	Now bool
	// Practices are the texts of the practices, for formats that tell the
	// reasons; of one that is not here they tell the ID.
	Practices []report.Practice
	// Version is the version of this plugin, for formats that name their tool.
	Version string
	// Directory is the absolute path of the working directory, against which
	// formats that link to files make their paths relative.
	Directory string
}

// Formats are the values of -o for a Diagnosis, for help and completion.
func Formats() []string { return slices.Insert(ListFormats(), 2, reports()...) }

// ListFormats are the values of -o for a Catalogue.
func ListFormats() []string {
	return []string{"table", "wide", "json", "yaml", "kyaml", "name", "jsonpath=", "jsonpath-file=", "go-template=", "go-template-file="}
}

// reports are the formats that only a Diagnosis has.
func reports() []string { return []string{"markdown", "html", "sarif", "junit", "csv", "prometheus"} }

// Validate is an error when the format is not among these, or does not parse.
func (o Options) Validate(formats []string) error {
	if o.human() || o.Format == "name" || slices.Contains(reports(), o.Format) && slices.Contains(formats, o.Format) {
		return nil
	}
	_, err := o.kubectl()
	if genericclioptions.IsNoCompatiblePrinterError(err) {
		return fmt.Errorf("unknown output format %q: -o takes %s", o.Format, strings.Join(formats, ", "))
	}
	return err
}

func (o Options) human() bool { return o.Format == "" || o.Format == "table" || o.Format == "wide" }

// kubectl is kubectl's own printer for the format.
func (o Options) kubectl() (printers.ResourcePrinter, error) {
	flags := genericclioptions.NewPrintFlags("")
	format := o.Format
	flags.OutputFormat = &format
	return flags.ToPrinter()
}

// Diagnosis prints the result of doctor.
func (o Options) Diagnosis(w io.Writer, d *report.Diagnosis) error {
	switch o.Format {
	case "", "table":
		if o.Now {
			return o.now(w, d)
		}
		return o.overview(w, d)
	case "wide":
		return o.everyFinding(w, d)
	case "name":
		return names(w, d)
	case "markdown":
		return o.markdown(w, d)
	case "html":
		return o.html(w, d)
	case "sarif":
		return o.sarif(w, d)
	case "junit":
		return o.junit(w, d)
	case "csv":
		return o.csv(w, d)
	case "prometheus":
		return o.prometheus(w, d)
	default:
		return o.object(w, d)
	}
}

// Catalogue prints the practices as a table.
func (o Options) Catalogue(w io.Writer, c *report.Catalogue) error {
	switch {
	case o.Format == "name":
		for _, p := range c.Items {
			if _, err := fmt.Fprintln(w, p.ID); err != nil {
				return err
			}
		}
		return nil
	case o.human():
		return o.catalogueTable(w, c)
	default:
		return o.object(w, c)
	}
}

// Explanation prints each practice of a catalogue in full.
func (o Options) Explanation(w io.Writer, c *report.Catalogue) error {
	if !o.human() {
		return o.object(w, c)
	}
	return o.explain(w, c)
}

// object prints a report in one of kubectl's formats. What steers a terminal,
// or hides text, is written as their own escapes, which read as the same text.
func (o Options) object(w io.Writer, object runtime.Object) error {
	switch o.Format {
	case "json", "yaml", "kyaml":
	default:
		printer, err := o.kubectl()
		if err != nil {
			return err
		}
		return printer.PrintObj(object, w)
	}
	var text, out bytes.Buffer
	if err := (&printers.JSONPrinter{}).PrintObj(object, &text); err != nil {
		return err
	}
	// The YAML libraries read JSON as YAML, which may not hold control characters
	// as they are.
	var err error
	switch o.Format {
	case "json":
		out.WriteString(spell(text.String(), quotedInJSON))
	case "yaml":
		var converted []byte
		converted, err = yaml.JSONToYAML([]byte(marked(EscapeLines(text.String()))))
		out.WriteString(unmarked(string(converted)))
	case "kyaml":
		var converted bytes.Buffer
		err = (&kyaml.Encoder{}).FromYAML(strings.NewReader(EscapeLines(text.String())), &converted)
		out.WriteString(EscapeLines(converted.String()))
	}
	if err != nil {
		return err
	}
	_, err = out.WriteTo(w)
	return err
}

// spell replaces the runes that do not show, but for line ends and tabs.
func spell(text string, as func(rune) string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(as(r))
		}
	}
	return b.String()
}

// mark stands before a rune that YAML's library would write as it is: a text with
// it is quoted with escapes, itself being one.
const mark = '\ufffe'

// marked puts a mark before what does not show and would be in a YAML text all
// the same: the library escapes line ends, the byte order mark, what is not of
// the basic plane and what is no character.
func marked(escaped string) string {
	return regexp.MustCompile(`\\+u[0-9a-f]{4}`).ReplaceAllStringFunc(escaped, func(found string) string {
		slashes := strings.LastIndexByte(found, '\\') + 1
		code, err := strconv.ParseUint(found[slashes+1:], 16, 32)
		if err != nil || slashes%2 == 0 || code < 0xa0 || code == '\u2028' || code == '\u2029' || code >= 0xfeff {
			return found
		}
		return found[:slashes-1] + quoted(mark) + found[slashes-1:]
	})
}

// unmarked makes an escape of each mark and what it stands before.
func unmarked(text string) string {
	return regexp.MustCompile(`\\uFFFE[^ -~\n]`).ReplaceAllStringFunc(text, func(found string) string {
		r, _ := utf8.DecodeLastRuneInString(found)
		return quoted(r)
	})
}

// quoted is the escape of a rune as Go, YAML and terminals' readers know it.
func quoted(r rune) string { return strings.Trim(strconv.QuoteRune(r), "'") }

// quotedInJSON is the escape of a rune in JSON, which knows UTF-16 alone.
func quotedInJSON(r rune) string {
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// names prints each of the user's objects that has a finding once, worst
// first, as kubectl takes it.
func names(w io.Writer, d *report.Diagnosis) error {
	printed := map[report.Object]bool{}
	for _, f := range d.Findings {
		if printed[f.Object] || f.Platform || f.Object.APIVersion == "" {
			continue
		}
		printed[f.Object] = true
		if _, err := fmt.Fprintln(w, escape(f.Object.String())); err != nil {
			return err
		}
	}
	return nil
}

// escape makes text of the cluster safe for a terminal and keeps it on a line:
// control characters, and the invisible ones that reorder or hide text, are
// written out (CVE-2021-25743).
func escape(text string) string { return spell(strings.Join(strings.Fields(text), " "), quoted) }

// EscapeLines makes text of the cluster safe for a terminal and keeps its lines.
func EscapeLines(text string) string { return spell(text, quoted) }

// Escape makes text of the cluster safe for a terminal, on one line.
func Escape(text string) string { return escape(text) }
