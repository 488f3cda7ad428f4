package output

import (
	"context"
	"fmt"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
)

// Watch looks again and again, with a pause between two looks, until a look is
// the last or until interrupted: that has its exit code, without a word, since
// who waits for a last look must not take it for one. A look
// that fails and is not the last is told, and the next one is tried: where one
// watches, the API server comes and goes.
func Watch(ctx context.Context, streams genericiooptions.IOStreams, pause time.Duration, look func(first bool) (last bool, err error)) error {
	for first := true; ; first = false {
		last, err := look(first)
		switch {
		case ctx.Err() != nil:
			return exit.With(exit.Interrupted, "")
		case last:
			return err
		case err != nil:
			fmt.Fprintf(streams.ErrOut, "error: %s\n", printer.EscapeLines(err.Error()))
		}
		select {
		case <-ctx.Done():
			return exit.With(exit.Interrupted, "")
		case <-time.After(pause):
		}
	}
}

// Clear makes room for the next look on a terminal; elsewhere looks follow each
// other.
func Clear(streams genericiooptions.IOStreams) {
	if printers.IsTerminal(streams.Out) {
		fmt.Fprint(streams.Out, "\x1b[H\x1b[2J") // home, clear
	}
}
