// Package cmd is the face of the plugin: the root command and, below it, one
// package a verb.
package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/backupetcd"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/completion"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/doctor"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/draincheck"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/harden"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/version"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
)

// interrupts are the signals that end a run in order: a terminal that is closed
// too, unless nohup has it survive that.
func interrupts() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// Main runs the plugin with the process's arguments and returns its exit code.
// release is the version of a release build, "" otherwise.
func Main(streams genericiooptions.IOStreams, args []string, release string) int {
	ctx, stop := signal.NotifyContext(context.Background(), interrupts()...)
	defer stop()
	root := NewCommand(streams, version.Current(release))
	root.SetArgs(arguments(args))
	err := root.ExecuteContext(ctx)
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(streams.ErrOut, "error: interrupted")
	case err != nil && err.Error() != "":
		fmt.Fprintf(streams.ErrOut, "error: %s\n", printer.EscapeLines(err.Error()))
	}
	if ctx.Err() != nil && exit.Code(err) != exit.Clean {
		return exit.Interrupted
	}
	return exit.Code(err)
}

// arguments are the command's words; run as the completer, cobra's completion
// of them.
func arguments(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	if strings.TrimSuffix(filepath.Base(args[0]), ".exe") == completion.Completer {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}

// NewCommand is `kubectl prod`.
func NewCommand(streams genericiooptions.IOStreams, info version.Info) *cobra.Command {
	root := &cobra.Command{
		Use:   "prod",
		Short: "Keep Kubernetes production-grade",
		Long: `Keep Kubernetes production-grade.

doctor finds what is not production-grade, and what is on fire. It reads the
current context and changes nothing. harden mends it, one reviewed change at a
time. backup-etcd saves the cluster and proves the save. drain-check says what a
drain would do, before anyone does it.

Flags go after "kubectl prod": kubectl refuses flags before a plugin's name.`,
		Annotations:                map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl prod"},
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2, // SuggestionsFor finds nothing without it
		SilenceUsage:               true,
		Args:                       unknownVerb,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			if !cmd.Flags().Changed("v") {
				klog.SetLogger(logr.Discard()) // errors are told once, by us
			}
			keepSecrets(cmd.Flags())
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.CompletionOptions.DisableDefaultCmd = true // completion is ours
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())
	})

	config := genericclioptions.NewConfigFlags(true).WithWarningPrinter(streams)
	config.AddFlags(root.PersistentFlags())
	logging := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(logging)
	verbosity := logging.Lookup("v")
	verbosity.Usage = fmt.Sprintf("number for the log level verbosity; what is above %d shows no more: bodies are never logged, for the secrets in them", loudest)
	root.PersistentFlags().AddGoFlag(verbosity)
	root.PersistentFlags().VisitAll(hide)
	connected := &connection.Flags{ConfigFlags: config, Version: info.Version}
	connected.Complete(root)
	root.AddCommand(
		doctor.NewCommand(connected, streams),
		harden.NewCommand(connected, streams),
		completion.NewCommand(streams),
		draincheck.NewCommand(connected, streams),
		backupetcd.NewCommand(connected, streams),
		version.NewCommand(connected, streams, info),
		newOptionsCommand(root),
	)
	return root
}

// loudest is the highest -v that shows no body of a request or an answer: those
// hold what people put into variables, arguments and annotations, and the keys
// beside certificates.
const loudest = 7

// keepSecrets lowers a higher -v.
func keepSecrets(flags *pflag.FlagSet) {
	if asked, err := strconv.Atoi(flags.Lookup("v").Value.String()); err == nil && asked > loudest {
		_ = flags.Set("v", strconv.Itoa(loudest)) // a number that has just been one
	}
}

// hide keeps kubectl's two dozen connection flags out of every help text;
// `kubectl prod options` lists them, as `kubectl options` does.
func hide(flag *pflag.Flag) { flag.Hidden = flag.Name != "namespace" && flag.Name != "context" }

func unknownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		text += ": did you mean " + strings.Join(similar, " or ") + "?"
	}
	return errors.New(text)
}

func newOptionsCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "options",
		Short: "List the flags that every command takes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags := pflag.NewFlagSet("options", pflag.ContinueOnError)
			root.PersistentFlags().VisitAll(func(flag *pflag.Flag) {
				shown := *flag
				shown.Hidden = false
				flags.AddFlag(&shown)
			})
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "These flags work with every command:\n\n%s", flags.FlagUsages())
			return err
		},
	}
}
