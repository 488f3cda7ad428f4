package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/build"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/plane"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/state"
)

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "cluster",
		Short:         "A real Kubernetes on this machine in one command",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	name := root.PersistentFlags().String("name", "prod", "name of the cluster")
	open := func() (state.Dir, error) { return state.Open(*name) }
	root.AddCommand(newUp(open), newDown(open), newStatus(open), newKubeconfig(open), newEnv(open), newSave(open), newPrograms(), newRelock())
	return root
}

// opener finds the cluster that --name names.
type opener func() (state.Dir, error)

func newUp(open opener) *cobra.Command {
	var options plane.Options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the cluster up, or repair it, and wait until it can be used",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := open()
			if err != nil {
				return err
			}
			if options.Nodes < 0 {
				return errors.New("--nodes must not be negative")
			}
			options.Progress = cmd.ErrOrStderr()
			return plane.Up(cmd.Context(), dir, options)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&options.Node, "node", false, "run a real node too: containerd, a kubelet and etcd as a static pod (root on Linux only)")
	flags.IntVar(&options.Nodes, "nodes", 6, "how many nodes to simulate")
	flags.BoolVar(&options.Fast, "fast", false, "for fleets: etcd without fsync, controllers without rate limits")
	flags.StringVar(&options.Kubernetes, "kubernetes", "", "an older minor of Kubernetes: "+build.Oldest)
	flags.BoolVar(&options.Encrypt, "encrypt", false, "encrypt Secrets at rest, with a key of this cluster's own")
	flags.BoolVar(&options.Audit, "audit", false, "have the API server keep an audit log of what people and their tools ask, with the answers about Secrets")
	flags.StringVar(&options.Restore, "restore", "", "bring back the cluster that `save` wrote to this file")
	flags.BoolVar(&options.Frozen, "frozen", false, "with --restore: etcd and the API server alone, so that nothing changes, and a large fleet takes less memory")
	return cmd
}

func newDown(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the cluster and delete its state",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := open()
			if err != nil {
				return err
			}
			return plane.Down(cmd.Context(), dir, cmd.ErrOrStderr())
		},
	}
}

func newStatus(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the components; the exit code is 1 unless all are ready",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := open()
			if err != nil {
				return err
			}
			report, err := plane.Inspect(cmd.Context(), dir)
			if err != nil {
				return err
			}
			if err := report.Write(cmd.OutOrStdout()); err != nil {
				return err
			}
			if !report.Healthy() {
				return fmt.Errorf("cluster %s is not healthy; `up` repairs it", dir.Name)
			}
			return nil
		},
	}
}

func newKubeconfig(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the administrator's kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := existing(open)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), dir.Kubeconfig())
			return err
		},
	}
}

func newEnv(open opener) *cobra.Command {
	return &cobra.Command{
		Use:     "env",
		Short:   "Print the shell commands that point kubectl at the cluster",
		Example: `  eval "$(go run . env)"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := existing(open)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "export KUBECONFIG=%q\nexport PATH=%q:\"$PATH\"\n", dir.Kubeconfig(), dir.Bin())
			return err
		},
	}
}

func newSave(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "save FILE",
		Short: "Write etcd's data and the cluster's certificates and keys to a tar file, for `up --restore`",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := open()
			if err != nil {
				return err
			}
			return plane.Save(cmd.Context(), dir, args[0], cmd.ErrOrStderr())
		},
	}
}

// newPrograms is for tests that need more than a cluster.
func newPrograms() *cobra.Command {
	return &cobra.Command{
		Use:     "programs GROUP",
		Short:   "Build programs that stand beside a cluster, and print the directory that holds them",
		Example: "  go run . programs prometheus   # prometheus and promtool",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cache, err := build.OpenCache(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			paths, err := cache.EnsureAside(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for _, path := range paths { // all of them are in one
				_, err := fmt.Fprintln(cmd.OutOrStdout(), filepath.Dir(path))
				return err
			}
			return nil
		},
	}
}

// existing is for commands that tell where things are; it makes a missing
// cluster an error rather than a path to nothing.
func existing(open opener) (state.Dir, error) {
	dir, err := open()
	if err != nil {
		return state.Dir{}, err
	}
	if _, err := os.Stat(dir.Kubeconfig()); err != nil {
		return state.Dir{}, fmt.Errorf("there is no cluster %s: %w", dir.Name, err)
	}
	return dir, nil
}
