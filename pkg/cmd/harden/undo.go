package harden

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

type undoOptions struct {
	genericiooptions.IOStreams
	connection *connection.Flags
	last, all  bool
	timeout    time.Duration
}

func newUndoCommand(flags *connection.Flags, streams genericiooptions.IOStreams) *cobra.Command {
	o := &undoOptions{IOStreams: streams, connection: flags}
	cmd := &cobra.Command{
		Use:   "undo [CHANGE ...]",
		Short: "Take changes of harden back",
		Long: `Take changes of harden back: every field gets the value it had, new objects are
deleted. Where somebody has changed a field since, nothing of that change is
written. A change to another cluster is refused.

Exit codes: 0, all is taken back; 1, something was refused; 2, undo could not do
its job.`,
		Example: `  kubectl prod harden history
  kubectl prod harden undo 20261123-144205-3f2a
  kubectl prod harden undo --last
  kubectl prod harden undo --all`,
		ValidArgsFunction: completeChanges,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	cmd.Flags().BoolVar(&o.last, "last", false, "The last change to this cluster that was not taken back")
	cmd.Flags().BoolVar(&o.all, "all", false, "All changes to this cluster that were not taken back, the last first")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 5*time.Minute, "Stop waiting for the pods after this long")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("timeout", cobra.NoFileCompletions))
	return cmd
}

func (o *undoOptions) run(ctx context.Context, args []string) error {
	if ways := len(args[:min(1, len(args))]) + count(o.last) + count(o.all); ways != 1 {
		return errors.New("name changes (kubectl prod harden history lists them), or --last, or --all")
	}
	kept, err := journal.Open()
	if err != nil {
		return err
	}
	api, err := connect(o.connection)
	if err != nil {
		return err
	}
	face := newFace(o.IOStreams, "auto")
	run := &harden.Run{API: api, Journal: kept, Face: face, Timeout: o.timeout}
	records, err := o.records(ctx, kept, run, args)
	if err != nil {
		return err
	}
	refused := false
	for _, record := range records {
		err := run.Undo(ctx, record)
		face.clear()
		if err != nil {
			refused = true
			fmt.Fprintf(o.ErrOut, "error: change %s: %s\n", record.ID, printer.EscapeLines(err.Error()))
		}
		if ctx.Err() != nil {
			return exit.With(exit.Interrupted, "interrupted")
		}
	}
	if refused {
		return exit.With(exit.Found, "")
	}
	return nil
}

func count(set bool) int {
	if set {
		return 1
	}
	return 0
}

// records are the changes to take back, the last first.
func (o *undoOptions) records(ctx context.Context, kept *journal.Journal, run *harden.Run, args []string) ([]*journal.Record, error) {
	var records []*journal.Record
	for _, id := range args {
		record, err := kept.Record(id)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	if len(args) > 0 {
		return records, nil
	}
	all, err := kept.Records()
	if err != nil {
		fmt.Fprintf(o.ErrOut, "warning: %v\n", err)
	}
	identity, err := run.API.Identity(ctx)
	if err != nil {
		return nil, err
	}
	for _, record := range slices.Backward(all) {
		if record.Cluster.UID == identity.UID && record.Undoable() {
			records = append(records, record)
		}
	}
	if len(records) == 0 {
		return nil, errors.New("there is no change to this cluster to take back (kubectl prod harden history lists all)")
	}
	if o.last {
		records = records[:1]
	}
	return records, nil
}

func completeChanges(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	kept, err := journal.Open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, _ := kept.Records() // the tab key tells no errors
	var offered []string
	for _, record := range slices.Backward(all) {
		if record.Undoable() {
			offered = append(offered, cobra.CompletionWithDesc(record.ID, record.Objects[0].Ref().String()))
		}
	}
	return offered, cobra.ShellCompDirectiveNoFileComp
}

func newHistoryCommand(streams genericiooptions.IOStreams) *cobra.Command {
	var print output.Options
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the changes that harden has made",
		Long: `List the changes that harden has made from this machine, to whichever cluster,
the last first. It reads the journal alone and asks no cluster.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := print.Complete(streams); err != nil {
				return err
			}
			kept, err := journal.Open()
			if err != nil {
				return err
			}
			records, broken := kept.Records()
			history := historyOf(records)
			if err := print.Write(streams, func(w io.Writer) error { return print.Printer().HardenHistory(w, history) }); err != nil {
				return err
			}
			return broken
		},
	}
	print.AddFlags(cmd, printer.ListFormats())
	return cmd
}

func historyOf(records []*journal.Record) *report.HardenHistory {
	history := &report.HardenHistory{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "HardenHistory"},
		Items:    []report.HardenRecord{},
	}
	for _, r := range slices.Backward(records) {
		item := report.HardenRecord{
			ID: r.ID, Time: metav1.NewTime(r.Started), Context: r.Cluster.Context, Server: r.Cluster.Server,
			State: string(r.Step), Note: r.Note, Practices: r.Practices,
		}
		for _, object := range r.Objects {
			item.Objects = append(item.Objects, report.Object{APIVersion: object.APIVersion, Kind: object.Kind, Namespace: object.Namespace, Name: object.Name})
		}
		history.Items = append(history.Items, item)
	}
	return history
}

// recover offers what an earlier run has left in the middle, before anything
// new is begun.
func (o *Options) recover(ctx context.Context, run *harden.Run, face *face) error {
	records, err := run.Journal.Records()
	if err != nil {
		fmt.Fprintf(o.ErrOut, "warning: %v\n", err)
	}
	open, err := run.Interrupted(ctx, records, isRunning)
	if err != nil {
		return err
	}
	for _, record := range open {
		choice := byte('f')
		if !o.Yes {
			choice = face.choose(ctx, fmt.Sprintf("change %s (%s) was interrupted, and nobody has seen what came of it:\n[l]eave it for now, [f]inish watching it, [u]ndo it?",
				record.ID, record.Objects[0].Ref()), "lfu")
		}
		if ctx.Err() != nil {
			return exit.With(exit.Interrupted, "interrupted")
		}
		if err := o.resolve(ctx, run, face, record, choice); err != nil {
			return fmt.Errorf("change %s, which was interrupted: %w", record.ID, err)
		}
	}
	return nil
}

func (o *Options) resolve(ctx context.Context, run *harden.Run, face *face, record *journal.Record, choice byte) error {
	switch choice {
	case 'u':
		return run.Undo(ctx, record)
	case 'l':
		return nil // and offer it again
	}
	wrong, err := run.Finish(ctx, record)
	switch {
	case err != nil:
		return err
	case record.Step == journal.Unwatched:
		face.Tell("change %s, which was interrupted: somebody has changed the same since, and it is left so", record.ID)
	case wrong == "" && record.Step == journal.RolledBack:
		face.Tell("change %s, which was interrupted while it was taken back: everything is as it was before it", record.ID)
	case wrong != "":
		face.Tell("change %s, which was interrupted, went wrong (%s) and is rolled back", record.ID, wrong)
	default:
		face.Tell("change %s, which was interrupted, is well", record.ID)
	}
	return nil
}

// isRunning reports whether a process is alive. Where that cannot be asked
// (Windows) it counts as dead.
func isRunning(pid int) bool {
	if pid <= 0 || pid == os.Getpid() {
		return false
	}
	process, err := os.FindProcess(pid)
	return err == nil && process.Signal(syscall.Signal(0)) == nil
}
