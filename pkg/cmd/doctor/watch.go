package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
)

// watchEvery is the pause between two looks: longer than a look takes, short
// enough to see a rollout move.
const watchEvery = 5 * time.Second

// watch looks again and again, until interrupted. A look that fails is told,
// and the next one is tried: at such times the API server comes and goes.
func (o *Options) watch(ctx context.Context) error {
	for {
		if printers.IsTerminal(o.Out) {
			fmt.Fprint(o.Out, "\x1b[H\x1b[2J") // home, clear
		}
		err := o.Run(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // interrupted: that is how a watch ends
		}
		var coded *exit.Error
		if err != nil && !errors.As(err, &coded) {
			fmt.Fprintf(o.ErrOut, "error: %v\n", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
			fmt.Fprintln(o.Out)
		}
	}
}
