package docs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	ansi "github.com/leaanthony/go-ansi-parser"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/manifests"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Of the terminal that the tour is recorded on, in characters, and of its
// characters, in pixels.
const (
	tourColumns = 118
	tourRows    = 38
	cellWidth   = 7.6
	cellHeight  = 17
	tourMargin  = 14
)

// secondsAScreen is how long a screen stays: long enough to be read.
const secondsAScreen = 9

// screen is a command and what it prints, in the terminal's own colours.
type screen struct {
	command string
	print   func(io.Writer) error
}

// tour is an animated recording of the first commands that a newcomer types,
// over the shop of examples/: drawn by the printer itself, so that it is true.
func tour(repository string, practices []practice.Practice, now time.Time) (Files, error) {
	shown := printer.Options{Color: true, Width: tourColumns}
	screens := []screen{
		{"kubectl prod doctor -f examples/shop", func(w io.Writer) error {
			diagnosis, err := diagnoseShop(repository, practices, now)
			return errors.Join(err, shown.Diagnosis(w, diagnosis))
		}},
		{"kubectl prod doctor explain pdb-missing", func(w io.Writer) error {
			catalogue := practice.Describe(practices)
			catalogue.Items = slices.DeleteFunc(catalogue.Items, func(p report.Practice) bool { return p.ID != "pdb-missing" })
			return shown.Explanation(w, catalogue)
		}},
		{"kubectl prod harden -f examples/shop --fix graceful-shutdown-missing,pdb-missing", func(w io.Writer) error {
			return hardenShop(w, shown, repository, practices, now)
		}},
	}
	data := recording{
		Width: tourColumns*cellWidth + 2*tourMargin, Height: tourRows*cellHeight + 2*tourMargin,
		Margin: tourMargin, Cell: cellHeight, Seconds: len(screens) * secondsAScreen,
	}
	for i, s := range screens {
		var printed bytes.Buffer
		if err := s.print(&printed); err != nil {
			return nil, err
		}
		lines, err := styled("\x1b[32m$\x1b[0m \x1b[1m" + s.command + "\x1b[0m\n" + printed.String())
		if err != nil {
			return nil, err
		}
		data.Screens = append(data.Screens, drawn{
			Command: s.command, Lines: lines[:min(len(lines), tourRows)],
			From: i * 100 / len(screens), To: (i + 1) * 100 / len(screens),
		})
	}
	page, err := render("tour.svg.tmpl", nil, data)
	return Files{"docs/tour.svg": page}, err
}

func hardenShop(w io.Writer, shown printer.Options, repository string, practices []practice.Practice, now time.Time) error {
	fix := slices.DeleteFunc(slices.Clone(practices), func(p practice.Practice) bool { return p.ID != "graceful-shutdown-missing" && p.ID != "pdb-missing" })
	run := manifests.Run{Practices: fix, Manifests: shopManifests(repository, now)}
	result, err := run.Mend(context.Background())
	if err != nil {
		return err
	}
	for _, file := range result.Files {
		file.Path = fromRoot(repository, file.Path)
		if err := shown.Diff(w, file.Diff()); err != nil {
			return err
		}
	}
	return nil
}

// recording is what the template draws.
type recording struct {
	Width, Height float64
	Margin, Cell  int
	Seconds       int // of one round
	Screens       []drawn
}

// Y is the baseline of a row, in pixels.
func (r recording) Y(row int) int { return r.Margin + (row+1)*r.Cell - r.Cell/3 }

// drawn is a screen that is shown from one percentage of a round to another.
type drawn struct {
	Command  string
	Lines    [][]span
	From, To int
}

// span is text of one style.
type span struct{ Text, Class string }

// styled splits what a terminal was sent into lines, and those into spans.
func styled(text string) ([][]span, error) {
	parsed, err := ansi.Parse(strings.TrimRight(text, "\n"))
	if err != nil {
		return nil, err
	}
	lines := [][]span{nil}
	for _, part := range parsed {
		for i, piece := range strings.Split(part.Label, "\n") {
			if i > 0 {
				lines = append(lines, nil)
			}
			if piece != "" {
				last := len(lines) - 1
				lines[last] = append(lines[last], span{piece, class(part)})
			}
		}
	}
	return lines, nil
}

// class is the style sheet's name of a style.
func class(part *ansi.StyledText) string {
	var names []string
	if part.Bold() {
		names = append(names, "b")
	}
	if part.FgCol != nil {
		names = append(names, strings.ToLower(part.FgCol.Name))
	}
	return strings.Join(names, " ")
}

// fromRoot is a path of the repository as one types it at its root.
func fromRoot(repository, path string) string {
	return filepath.ToSlash(strings.TrimPrefix(path, filepath.Clean(repository)+string(filepath.Separator)))
}

func shopManifests(repository string, now time.Time) cluster.Manifests {
	return cluster.Manifests{Filenames: []string{filepath.Join(repository, "examples", "shop")}, Namespace: "default", Time: now}
}
