package backupetcd

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/prove"
)

// childVerb is this program's own: it opens a database in a process that may
// die of it.
const childVerb = "examine"

// newChildCommand is what [child] runs.
func newChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:    childVerb + " REQUEST",
		Short:  "Open a snapshot on behalf of verify; for this program itself",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return prove.Child(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
}

// child is a process of this program that opens a database. An interrupt of the
// terminal reaches it too; it ends by itself.
func child(ctx context.Context, request string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program, to start it again: %w", err)
	}
	return exec.CommandContext(ctx, self, "backup-etcd", childVerb, request), nil //nolint:gosec // this program itself
}
