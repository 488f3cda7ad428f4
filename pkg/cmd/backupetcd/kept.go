package backupetcd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/keep"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func newListCommand(streams genericiooptions.IOStreams) *cobra.Command {
	print := &output.Options{}
	cmd := &cobra.Command{
		Use:   "list DESTINATION",
		Short: "List the backups at a destination, and how each was proven",
		Example: `  kubectl prod backup-etcd list .
  kubectl prod backup-etcd list s3://backups/prod -o wide`,
		Args: oneDestination,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := print.Complete(streams); err != nil {
				return err
			}
			list, err := listAt(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return print.Write(streams, func(w io.Writer) error { return print.Printer().EtcdBackups(w, list) })
		},
	}
	print.AddFlags(cmd, printer.ListFormats())
	return cmd
}

func oneDestination(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one destination, a directory or a URL, and got %d arguments", cmd.Name(), len(args))
	}
	return nil
}

func listAt(ctx context.Context, destination string) (*report.EtcdBackups, error) {
	store, err := keep.Open(ctx, destination)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }() // it was only read
	return keep.List(ctx, store)
}

// pruneOptions are what `backup-etcd prune` was asked.
type pruneOptions struct {
	genericiooptions.IOStreams
	Print  output.Options
	Rule   ruleFlags
	DryRun bool
	Yes    bool
}

func newPruneCommand(streams genericiooptions.IOStreams) *cobra.Command {
	o := &pruneOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "prune DESTINATION",
		Short: "Remove old backups, never a cluster's last proven one",
		Long: `Remove old backups, never a cluster's last proven one.

What goes and what stays is shown first, each with the reason, and asked for.
Each cluster's backups are judged by themselves. What has no manifest beside it
is never removed, nor is anything newer than the last proven backup.`,
		Example: `  kubectl prod backup-etcd prune s3://backups/prod --keep 14 --keep-within 30d --dry-run`,
		Args:    oneDestination,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Rule.rule() == (keep.Rule{}) {
				return errors.New("prune needs --keep or --keep-within")
			}
			if err := o.Print.Complete(streams); err != nil {
				return err
			}
			return o.run(cmd.Context(), args[0])
		},
	}
	o.Rule.add(cmd)
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "Show what would go, and remove nothing")
	cmd.Flags().BoolVarP(&o.Yes, "yes", "y", false, "Do not ask")
	o.Print.AddFlags(cmd, printer.ListFormats())
	return cmd
}

func (o *pruneOptions) run(ctx context.Context, destination string) error {
	store, err := keep.Open(ctx, destination)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // nothing is open any more
	list, err := keep.List(ctx, store)
	if err != nil {
		return err
	}
	o.Rule.rule().Decide(list.Items, "", time.Now())
	if err := o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().EtcdBackups(w, list) }); err != nil {
		return err
	}
	goes := 0
	for _, item := range list.Items {
		if item.Fate == "remove" {
			goes++
		}
	}
	if goes == 0 || o.DryRun {
		return nil
	}
	if !o.Yes {
		if err := confirm(o.IOStreams, fmt.Sprintf("Remove %d of %d backups at %s?", goes, len(list.Items), store)); err != nil {
			return err
		}
	}
	removed, err := keep.Remove(ctx, store, list.Items)
	fmt.Fprintf(o.ErrOut, "removed %d backups\n", len(removed))
	return err
}

// confirm asks, and takes nothing but yes for one.
func confirm(streams genericiooptions.IOStreams, question string) error {
	if file, ok := streams.In.(*os.File); !ok || !printers.IsTerminal(file) {
		return errors.New("nobody can be asked here: --yes does it without asking")
	}
	fmt.Fprintf(streams.ErrOut, "%s [y/N] ", question)
	answer, err := bufio.NewReader(streams.In).ReadString('\n')
	if err != nil || !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return exit.With(exit.Found, "nothing was changed")
	}
	return nil
}

// newFetchCommand makes a plain snapshot of what is kept: what a restore needs.
func newFetchCommand(streams genericiooptions.IOStreams) *cobra.Command {
	var secrets secretFlags
	var to, scratch string
	cmd := &cobra.Command{
		Use:   "fetch FILE|URL --output-file FILE",
		Short: "Bring a backup here as the plain snapshot that etcdutl restores: decrypted and decompressed",
		Args:  oneSnapshot,
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return errors.New("fetch needs --output-file: a snapshot is nothing for a terminal")
			}
			if _, err := os.Stat(to); err == nil {
				return fmt.Errorf("%s exists already", to)
			}
			identities, err := secrets.identities(streams)
			if err != nil {
				return err
			}
			status := newStatus(streams.ErrOut)
			defer status.clear()
			status.step("fetching")
			if scratch == "" {
				scratch = filepath.Dir(to) // the plain copy is big, and is to end up there
			}
			fetched, err := keep.Fetch(cmd.Context(), args[0], scratch, identities, status.bytes)
			if err != nil {
				return err
			}
			defer fetched.Close()
			if fetched.Bad != "" {
				return exit.With(exit.Found, "%s is damaged: %s", keep.Redact(args[0]), fetched.Bad)
			}
			return fetched.MoveTo(cmd.Context(), to)
		},
	}
	secrets.addDecrypt(cmd)
	cmd.Flags().StringVar(&to, "output-file", "", "Where to write the plain snapshot")
	cmd.Flags().StringVar(&scratch, "scratch", "", "Directory for what is under way (that of --output-file)")
	return cmd
}
