package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
)

// watchEvery is the pause between two looks: longer than a look takes, short
// enough to see a rollout move.
const watchEvery = 5 * time.Second

// watch looks again and again, until interrupted.
func (o *Options) watch(ctx context.Context) error {
	return output.Watch(ctx, o.IOStreams, watchEvery, func(first bool) (last bool, err error) {
		if !first {
			fmt.Fprintln(o.Out)
		}
		output.Clear(o.IOStreams)
		err = o.Run(ctx)
		if _, answered := errors.AsType[*exit.Error](err); answered { // and told
			err = nil
		}
		return false, err
	})
}
