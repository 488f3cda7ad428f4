package backupetcd

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/find"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/keep"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/prove"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/restore"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// planOptions are what `backup-etcd restore-plan` was asked.
type planOptions struct {
	genericiooptions.IOStreams
	Connection *connection.Flags
	Print      output.Options
	secrets    secretFlags
	Scratch    string
}

func newRestorePlanCommand(flags *connection.Flags, streams genericiooptions.IOStreams) *cobra.Command {
	o := &planOptions{IOStreams: streams, Connection: flags}
	cmd := &cobra.Command{
		Use:   "restore-plan FILE|URL",
		Short: "Write down, command by command, how a backup becomes this cluster again",
		Long: `Write down, command by command, how a backup becomes this cluster again.

The names, paths and URLs are those of the cluster that was backed up, from the
manifest beside the snapshot: the cluster itself need not answer any more. For a
snapshot without a manifest the current context is asked. Nothing is restored:
what runs there now would be gone.

It also says what the cluster needs that no snapshot holds.`,
		Args: oneSnapshot,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.Print.Complete(streams); err != nil {
				return err
			}
			return o.run(cmd.Context(), args[0])
		},
	}
	o.secrets.addDecrypt(cmd)
	cmd.Flags().StringVar(&o.Scratch, "scratch", "", "Directory for the restore drill of a snapshot without a manifest")
	o.Print.AddFlags(cmd, printer.ObjectFormats())
	return cmd
}

func (o *planOptions) run(ctx context.Context, object string) error {
	destination, name := keep.Split(object)
	store, err := keep.Open(ctx, destination)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // it was only read
	backup, err := keep.ReadManifest(ctx, store, name)
	if err != nil {
		if backup, err = o.withoutManifest(ctx, object, err); err != nil {
			return err
		}
	}
	plan := restore.Plan(backup, keep.Address(object))
	return o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().RestorePlan(w, plan) })
}

// withoutManifest proves the snapshot, and asks the current context how its etcd
// is laid out.
func (o *planOptions) withoutManifest(ctx context.Context, object string, missing error) (*report.EtcdBackup, error) {
	identities, err := o.secrets.identities(o.IOStreams)
	if err != nil {
		return nil, err
	}
	status := newStatus(o.ErrOut)
	defer status.clear()
	v, err := verified(ctx, object, prove.Restore, o.Scratch, identities, status)
	if err != nil {
		return nil, err
	}
	b := &report.EtcdBackup{Time: metav1.NewTime(time.Now()), Snapshot: v.Snapshot, Proof: v.Proof, Contents: v.Contents}
	snapshot, err := o.Connection.Read(ctx, o.ErrOut, readTimeout, find.Live(), find.Needs())
	if err != nil {
		return nil, exit.With(exit.Failed, "%v, and the current context does not tell the cluster's layout either: %v", missing, err)
	}
	etcd.Describe(&b.Source, snapshot)
	if v.Contents != nil && v.Contents.ClusterUID != b.Source.ClusterUID {
		fmt.Fprintf(o.ErrOut, "warning: the snapshot is of another cluster than the current context, whose names and paths the plan has\n")
	}
	return b, nil
}
