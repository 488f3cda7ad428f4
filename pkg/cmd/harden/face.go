package harden

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-prod/kubectl-prod/pkg/harden"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// face is the person at the terminal. All of it goes to standard error:
// standard output is for the result.
type face struct {
	streams  genericiooptions.IOStreams
	printer  printer.Options
	terminal bool
	input    *bufio.Reader

	mu       sync.Mutex
	progress bool // a progress line stands
	told     string
}

func newFace(streams genericiooptions.IOStreams, color string) *face {
	f := &face{streams: streams, terminal: isTerminal(streams.ErrOut), input: bufio.NewReader(streams.In)}
	f.printer.Color = color == "always" || color == "auto" && printers.AllowsColorOutput(streams.ErrOut)
	if file, ok := streams.ErrOut.(*os.File); ok && f.terminal {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			f.printer.Width = width
		}
	}
	return f
}

// answer is the next line; false at the end of input or at an interrupt. It
// reads in the background, so that an interrupt need not wait for a key, and
// only when it asks: an editor reads the same terminal.
func (f *face) answer(ctx context.Context) (string, bool) {
	type line struct {
		text string
		err  error
	}
	next := make(chan line, 1)
	go func() {
		text, err := f.input.ReadString('\n')
		next <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(f.streams.ErrOut)
		return "", false
	case read := <-next:
		if read.err != nil {
			fmt.Fprintln(f.streams.ErrOut)
		}
		return strings.ToLower(strings.TrimSpace(read.text)), read.err == nil
	}
}

func (f *face) Show(c *report.HardenChange, of int) {
	f.clear()
	_ = f.printer.HardenChange(f.streams.ErrOut, c, of) // a terminal that is gone is told by what follows
}

const help = `  y  make this change
  n  leave it (also: nothing, or the end of input)
  a  make it, and all further ones of this practice
  s  leave it, and all further ones of this object
  e  edit it first ($KUBE_EDITOR, $EDITOR)
  q  leave it and all that follow; what was written stays
`

func (f *face) Ask(ctx context.Context, c *report.HardenChange, of int) harden.Verdict {
	f.Show(c, of)
	for {
		fmt.Fprint(f.streams.ErrOut, "make this change? [y,n,a,s,e,q,?] ")
		answer, ok := f.answer(ctx)
		if !ok {
			return harden.Quit
		}
		switch answer {
		case "y", "yes":
			return harden.Yes
		case "", "n", "no":
			return harden.No
		case "a":
			return harden.All
		case "s":
			return harden.SkipObject
		case "e":
			return harden.Edit
		case "q":
			return harden.Quit
		}
		fmt.Fprint(f.streams.ErrOut, help)
	}
}

func (f *face) Confirm(ctx context.Context, question string) bool {
	f.clear()
	fmt.Fprintf(f.streams.ErrOut, "%s [y/N] ", printer.EscapeLines(question))
	answer, ok := f.answer(ctx)
	return ok && (answer == "y" || answer == "yes")
}

// choose asks for one of some letters; the first is the default, and what the
// end of input means.
func (f *face) choose(ctx context.Context, question, letters string) byte {
	f.clear()
	fmt.Fprint(f.streams.ErrOut, printer.EscapeLines(question)+" ")
	answer, ok := f.answer(ctx)
	if !ok || len(answer) != 1 || !strings.Contains(letters, answer) {
		return letters[0]
	}
	return answer[0]
}

func (f *face) Tell(format string, args ...any) {
	f.clear()
	fmt.Fprintf(f.streams.ErrOut, "  %s\n", printer.Escape(fmt.Sprintf(format, args...)))
}

// Progress shows a line until the next word; off a terminal it is silent.
func (f *face) Progress(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := printer.Escape(fmt.Sprintf(format, args...))
	if !f.terminal || text == f.told && f.progress {
		return
	}
	if width := f.printer.Width; width > 4 && len(text) > width-3 {
		text = text[:width-3]
	}
	f.progress, f.told = true, text
	fmt.Fprintf(f.streams.ErrOut, "\r\x1b[K  %s", text)
}

func (f *face) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.progress {
		fmt.Fprint(f.streams.ErrOut, "\r\x1b[K")
		f.progress = false
	}
}

// Edit opens an editor as kubectl edit does.
func (f *face) Edit(ctx context.Context, text string) (string, error) {
	file, err := os.CreateTemp("", "kubectl-prod-harden-*.yaml")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = io.WriteString(file, text)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	command := editor(ctx, file.Name())
	command.Stdin, command.Stdout, command.Stderr = f.streams.In, f.streams.ErrOut, f.streams.ErrOut
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("the editor: %w (KUBE_EDITOR or EDITOR names one)", err)
	}
	edited, err := os.ReadFile(file.Name())
	return string(edited), err
}

// editor runs the editor in a shell: its variable may hold arguments.
func editor(ctx context.Context, name string) *exec.Cmd {
	named := "vi"
	if runtime.GOOS == "windows" {
		named = "notepad"
	}
	for _, variable := range []string{"EDITOR", "KUBE_EDITOR"} {
		if value := os.Getenv(variable); value != "" {
			named = value
		}
	}
	if runtime.GOOS == "windows" {
		return exec.CommandContext(ctx, "cmd", "/C", named+" "+name) //nolint:gosec // the user's own editor
	}
	return exec.CommandContext(ctx, "sh", "-c", named+` "$1"`, "sh", name) //nolint:gosec // the user's own editor
}
