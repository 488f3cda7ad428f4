package draincheck

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/drain"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// watchEvery is the pause between two looks: less than kubectl's own five
// seconds between two tries.
const watchEvery = 2 * time.Second

// watch looks at a running drain until nothing is left to go, or until
// interrupted.
func (o *Options) watch(ctx context.Context) error {
	follower := drain.NewFollower()
	// Somebody else's drain has the flags that its pods need, or is over.
	o.Drain.IgnoreDaemonSets, o.Drain.DeleteEmptyDirData, o.Drain.Force = true, true, true
	return output.Watch(ctx, o.IOStreams, watchEvery, func(first bool) (last bool, err error) {
		snapshot, err := o.Connection.Read(ctx, o.ErrOut, connection.ReadTimeout, cluster.Live{}, drain.FollowNeeds())
		if err != nil {
			return first, err
		}
		for _, kind := range []cluster.Kind{cluster.Pods, cluster.Budgets} {
			if !snapshot.WasRead(kind) {
				return true, exit.With(exit.Failed, "cannot tell: %s have to be readable (%s)", kind, snapshot.Coverage(kind).Reason)
			}
		}
		return o.look(snapshot, follower)
	})
}

// look prints one look. It is the last when no pod is left.
func (o *Options) look(snapshot *cluster.Snapshot, follower *drain.Follower) (last bool, err error) {
	nodes, err := o.choose(snapshot)
	if err != nil {
		return true, err
	}
	told := follower.Look(snapshot, drain.Question{Options: o.Drain, Nodes: nodes})
	output.Clear(o.IOStreams)
	if err := o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().DrainWatch(w, told) }); err != nil {
		return true, err
	}
	if len(told.Pods) == 0 {
		fmt.Fprintf(o.ErrOut, "nothing is left to drain on %s\n", subject(told))
	}
	return len(told.Pods) == 0, nil
}

func subject(told *report.DrainWatch) string {
	if len(told.Nodes) == 1 {
		return "node " + told.Nodes[0].Name
	}
	return fmt.Sprintf("%d nodes", len(told.Nodes))
}
