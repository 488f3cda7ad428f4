// Command scale makes fleets of simulated nodes and measures the plugin on
// them. See docs/benchmarks.md for what it measured last.
//
//	go run ./test/scale fleet --nodes 100 --pods 2000
//	go run ./test/scale bench --nodes 100 --pods 2000
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "scale",
		Short:         "Fleets of simulated nodes, and what the plugin costs on them",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newFleetCommand(), newMultiplyCommand(), newBenchCommand(), newCountCommand(), newListCommand())
	return root
}

func newFleetCommand() *cobra.Command {
	var size Size
	var program string
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "Make a fleet and keep it as an archive, so that a benchmark brings it back in seconds",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return makeFleet(cmd.Context(), program, size)
		},
	}
	size.addFlags(cmd)
	addClusterFlag(cmd, &program)
	return cmd
}

func newMultiplyCommand() *cobra.Command {
	var from Size
	var times int
	cmd := &cobra.Command{
		Use:   "multiply",
		Short: "Make a fleet that is so many times another that is kept: its teams and nodes, copied in etcd",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return multiply(cmd.Context(), from, times)
		},
	}
	from.addFlags(cmd)
	cmd.Flags().IntVar(&times, "times", 5, "how many times")
	return cmd
}

func newBenchCommand() *cobra.Command {
	var b bench
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure doctor and drain-check against a bare LIST of the same kinds, side by side",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	b.size.addFlags(cmd)
	addClusterFlag(cmd, &b.cluster)
	addPluginFlag(cmd, &b.plugin)
	cmd.Flags().IntVar(&b.runs, "runs", 5, "how often each side runs")
	cmd.Flags().StringVar(&b.write, "write", "", "write the result into this file too, in Markdown")
	cmd.Flags().BoolVar(&b.frozen, "frozen", false, "without controllers, scheduler and simulated kubelets, for a fleet that is too large to be kept alive here")
	cmd.Flags().BoolVar(&b.brief, "brief", false, "without plans, harden and backups, which take minutes each on thousands of nodes")
	cmd.Flags().StringVar(&b.kubeconfig, "on", "", "measure on the cluster of this kubeconfig instead of a fleet")
	return cmd
}

func newCountCommand() *cobra.Command {
	var b bench
	cmd := &cobra.Command{
		Use:   "count",
		Short: "Hold what each verb asks of a fleet's API server, in numbers and never in time",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.counts(cmd.Context(), cmd.OutOrStdout())
		},
	}
	b.size.addFlags(cmd)
	addClusterFlag(cmd, &b.cluster)
	addPluginFlag(cmd, &b.plugin)
	return cmd
}

// newListCommand is the bare LIST: a process of its own, so that it starts as
// the plugin does.
func newListCommand() *cobra.Command {
	var kubeconfig, requests string
	cmd := &cobra.Command{
		Use:    "list",
		Short:  "Send LISTs, decode their pages and drop them",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bareList(cmd.Context(), kubeconfig, requests, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "the cluster")
	cmd.Flags().StringVar(&requests, "requests", "", "JSON file of the LISTs to send")
	return cmd
}

func addClusterFlag(cmd *cobra.Command, program *string) {
	cmd.Flags().StringVar(program, "cluster", filepath.Join("bin", "test-cluster"), "test/cluster, built")
}

func addPluginFlag(cmd *cobra.Command, program *string) {
	cmd.Flags().StringVar(program, "plugin", filepath.Join("bin", "kubectl-prod"), "the plugin under measurement")
}
