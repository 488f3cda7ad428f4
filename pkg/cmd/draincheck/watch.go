package draincheck

import (
	"context"
	"fmt"
	"io"
	"time"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/drain"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// watchEvery is the pause between two looks: less than kubectl's own five
// seconds between two tries.
const watchEvery = 2 * time.Second

// watch looks at a running drain until nothing is left to go, or until
// interrupted. A look that fails is told, and the next one is tried.
func (o *Options) watch(ctx context.Context) error {
	follower := drain.NewFollower()
	// Somebody else's drain has the flags that its pods need, or is over.
	o.Drain.IgnoreDaemonSets, o.Drain.DeleteEmptyDirData, o.Drain.Force = true, true, true
	for first := true; ; first = false {
		snapshot, err := o.Connection.Read(ctx, o.ErrOut, readTimeout, cluster.Live{}, drain.FollowNeeds())
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // interrupted: that is how a watch ends
		case err != nil && first:
			return err
		case err != nil:
			fmt.Fprintf(o.ErrOut, "error: %v\n", err)
		default:
			if !snapshot.WasRead(cluster.Budgets) || !snapshot.WasRead(cluster.Pods) {
				return exit.With(exit.Failed, "cannot tell: pods and poddisruptionbudgets have to be readable (%s)", snapshot.Coverage(cluster.Budgets).Reason)
			}
			left, err := o.look(snapshot, follower)
			if err != nil || left == 0 {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// look prints one look and returns how many pods are left.
func (o *Options) look(snapshot *cluster.Snapshot, follower *drain.Follower) (int, error) {
	nodes, err := o.choose(snapshot)
	if err != nil {
		return 0, err
	}
	told := follower.Look(snapshot, drain.Question{Options: o.Drain, Nodes: nodes})
	if printers.IsTerminal(o.Out) {
		fmt.Fprint(o.Out, "\x1b[H\x1b[2J") // home, clear
	}
	err = o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().DrainWatch(w, told) })
	if err == nil && len(told.Pods) == 0 {
		fmt.Fprintf(o.ErrOut, "nothing is left to drain on %s\n", subject(told))
	}
	return len(told.Pods), err
}

func subject(told *report.DrainWatch) string {
	if len(told.Nodes) == 1 {
		return "node " + told.Nodes[0].Name
	}
	return fmt.Sprintf("%d nodes", len(told.Nodes))
}
