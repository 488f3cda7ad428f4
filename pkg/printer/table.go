package printer

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// gap stands between two columns, as in kubectl's tables.
const gap = "   "

// table writes rows in kubectl's look: no lines, columns apart by three
// spaces, nothing at the line ends. A nil header is left out. At the terminal's
// width the last column is cut; in rows that start with a critical severity it
// goes on below, for that text is what the reader came for.
func (o Options) table(w io.Writer, header []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	rows = o.fit(header, rows)
	var out bytes.Buffer
	table := tablewriter.NewTable(&out,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Symbols:  tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{Lines: tw.LinesNone, Separators: tw.SeparatorsNone},
		})),
		tablewriter.WithAlignment(tw.MakeAlign(len(rows[0]), tw.AlignLeft)),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithPadding(tw.Padding{Right: gap, Overwrite: true}),
	)
	if header != nil {
		table.Header(header)
	}
	if err := table.Bulk(rows); err != nil {
		return fmt.Errorf("table: %w", err)
	}
	if err := table.Render(); err != nil {
		return fmt.Errorf("table: %w", err)
	}
	for line := range bytes.Lines(out.Bytes()) {
		if _, err := fmt.Fprintf(w, "%s\n", bytes.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// fit makes the last column of rows fit the terminal.
func (o Options) fit(header []string, rows [][]string) [][]string {
	if o.Width <= 0 {
		return rows
	}
	last := len(rows[0]) - 1
	room := max(o.Width-leading(header, rows), narrowest)
	var fitted [][]string
	for _, row := range rows {
		text := row[last]
		switch {
		case twwidth.Width(text) <= room:
			fitted = append(fitted, row)
		case row[0] == o.severity(report.Critical):
			for _, line := range wrap(text, room) {
				fitted = append(fitted, append(slices.Clone(row[:last]), line))
				row = make([]string, len(row))
			}
		default:
			fitted = append(fitted, append(slices.Clone(row[:last]), twwidth.Truncate(text, room-1)+"…"))
		}
	}
	return fitted
}

// narrowest is what the last column has at least, on the narrowest terminal.
const narrowest = 20

// leading is the width of all columns but the last.
func leading(header []string, rows [][]string) int {
	width := 0
	for column := range len(rows[0]) - 1 {
		widest := 0
		if header != nil {
			widest = twwidth.Width(header[column])
		}
		for _, row := range rows {
			widest = max(widest, twwidth.Width(row[column]))
		}
		width += widest + len(gap)
	}
	return width
}

// The colours are the terminal's own, so that they fit its theme.
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	cyan   = "\x1b[36m"
	bold   = "\x1b[1m"
	plain  = "\x1b[0m"
)

func (o Options) paint(colour, text string) string {
	if !o.Color || colour == "" {
		return text
	}
	return colour + text + plain
}

func (o Options) severity(s report.Severity) string {
	switch s {
	case report.Critical:
		return o.paint(bold+red, string(s))
	case report.Warning:
		return o.paint(yellow, string(s))
	default:
		return o.paint(cyan, string(s))
	}
}

// score paints a score; a dash stands for "nothing was judged".
func (o Options) score(s report.Score) string {
	if s.Percent == nil {
		return "-"
	}
	text := fmt.Sprint(*s.Percent)
	switch {
	case s.Critical > 0:
		return o.paint(red, text)
	case s.Warning > 0:
		return o.paint(yellow, text)
	default:
		return o.paint(green, text)
	}
}
