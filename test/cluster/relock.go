package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/build"
)

// newRelock is for the developers of this module, and works in its directory.
func newRelock() *cobra.Command {
	return &cobra.Command{
		Use:    "relock NAME",
		Short:  "Complete internal/build/locks/NAME.mod and .sum after a version was changed",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := build.Relock(cmd.Context(), "internal/build/locks", args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s is locked\n", args[0])
			return err
		},
	}
}
