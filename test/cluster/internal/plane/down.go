package plane

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/machine"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/state"
)

// stopGrace is short, since what the processes hold is about to be deleted.
const stopGrace = time.Second

// Down ends what Up started and deletes the cluster's state. It is harmless when
// there is no such cluster.
func Down(ctx context.Context, dir state.Dir, progress io.Writer) error {
	unlock, err := acquire(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	_, exists, err := dir.Load()
	if err != nil {
		return err
	}
	if err := down(ctx, dir); err != nil {
		return err
	}
	if exists {
		fmt.Fprintf(progress, "cluster %s is down\n", dir.Name)
	} else {
		fmt.Fprintf(progress, "there is no cluster %s\n", dir.Name)
	}
	return nil
}

func down(ctx context.Context, dir state.Dir) error {
	processes := dir.Processes()
	node := machine.Machine{Dir: dir}
	if err := processes.Stop(ctx, stopGrace, "kubelet"); err != nil {
		return err
	}
	if err := node.EndPods(ctx); err != nil {
		return err
	}
	names, err := processes.Names()
	if err != nil {
		return err
	}
	if err := processes.Stop(ctx, stopGrace, names...); err != nil {
		return err
	}
	if err := node.Remove(ctx); err != nil {
		return err
	}
	// The lock file stays: another command may be waiting on it.
	return dir.Remove()
}
