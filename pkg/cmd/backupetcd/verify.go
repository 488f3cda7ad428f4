package backupetcd

import (
	"context"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/keep"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/prove"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// verifyOptions are what `backup-etcd verify` was asked.
type verifyOptions struct {
	genericiooptions.IOStreams
	Print   output.Options
	secrets secretFlags
	Depth   string
	Scratch string
}

func newVerifyCommand(streams genericiooptions.IOStreams) *cobra.Command {
	o := &verifyOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "verify FILE|URL",
		Short: "Tell whether a snapshot is a backup: its bytes, its database, a restore of it",
		Long: `Tell whether a snapshot is a backup.

verify takes the snapshots of this plugin and those of etcdctl, and asks no
cluster. It looks in three depths:

  integrity     the size, and the checksum that etcd wrote at the end
  consistency   also every page of the database, and the hash of all keys
  restore       also a restore into a scratch directory: etcd starts from it,
                its objects are counted, a sample is decoded (the default)

What opens the database runs in a process of its own: a broken file can kill it
and not the verdict.

Exit codes: 0, proven; 1, it is no proven backup; 2, verify could not look.`,
		Example: `  kubectl prod backup-etcd verify etcd-3f2a9c1b-20260801T020000Z.db

  # Straight from a bucket, where it lies compressed and encrypted
  kubectl prod backup-etcd verify s3://backups/prod/etcd-3f2a9c1b-20260801T020000Z.db.zst.age -i key.txt

  # Only whether the bytes are those that etcd sent
  kubectl prod backup-etcd verify snapshot.db --depth integrity`,
		Args: oneSnapshot,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			return o.run(cmd.Context(), args[0])
		},
	}
	addDepthFlags(cmd, &o.Depth, &o.Scratch)
	o.secrets.addDecrypt(cmd)
	o.Print.AddFlags(cmd, printer.ObjectFormats())
	return cmd
}

func oneSnapshot(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one snapshot, and got %d arguments", cmd.Name(), len(args))
	}
	return nil
}

// addDepthFlags adds --depth and --scratch.
func addDepthFlags(cmd *cobra.Command, depth, scratch *string) {
	var depths []string
	for _, d := range prove.Depths() {
		depths = append(depths, string(d))
	}
	cmd.Flags().StringVar(depth, "depth", string(prove.Restore), "How deep to look: "+strings.Join(depths, ", "))
	cmd.Flags().StringVar(scratch, "scratch", "", "Directory for the restore drill, which takes as much space as the snapshot (the system's directory for temporary files)")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("depth", cobra.FixedCompletions(depths, cobra.ShellCompDirectiveNoFileComp)))
	cobra.CheckErr(cmd.MarkFlagDirname("scratch"))
}

func depthOf(value string) (prove.Depth, error) {
	for _, d := range prove.Depths() {
		if string(d) == value {
			return d, nil
		}
	}
	return "", fmt.Errorf("--depth takes integrity, consistency or restore, and got %q", value)
}

func (o *verifyOptions) complete() error {
	if _, err := depthOf(o.Depth); err != nil {
		return err
	}
	return o.Print.Complete(o.IOStreams)
}

func (o *verifyOptions) run(ctx context.Context, path string) error {
	depth, err := depthOf(o.Depth)
	if err != nil {
		return err
	}
	identities, err := o.secrets.identities(o.IOStreams)
	if err != nil {
		return err
	}
	status := newStatus(o.ErrOut)
	defer status.clear()
	result, err := verified(ctx, path, depth, o.Scratch, identities, status)
	if err != nil {
		return err
	}
	status.clear()
	if err := o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().EtcdVerification(w, result) }); err != nil {
		return err
	}
	if result.Proof.Verdict != report.Proven {
		return exit.With(exit.Found, "")
	}
	return nil
}

// verified proves what lies at a path or URL, with what its manifest tells.
func verified(ctx context.Context, object string, depth prove.Depth, scratch string, identities []age.Identity, status *status) (*report.EtcdVerification, error) {
	status.step("fetching")
	fetched, err := keep.Fetch(ctx, object, scratch, identities, status.bytes)
	if err != nil {
		return nil, err
	}
	defer fetched.Close()
	if fetched.Bad != "" {
		return prove.Unreadable(keep.Redact(object), depth, fetched.Bad), nil
	}
	var expected prove.Expected
	if fetched.Manifest != nil {
		expected = prove.Expected{SHA256: fetched.Manifest.Snapshot.SHA256, Revision: fetched.Manifest.Snapshot.HashRevision, HashKV: fetched.Manifest.Snapshot.HashKV}
	}
	prover := prove.Prover{Child: child, Scratch: scratch, Progress: status.step}
	result, err := prover.File(ctx, fetched.Path, depth, expected)
	if err != nil {
		return nil, err
	}
	result.File = keep.Redact(object)
	if fetched.Manifest != nil {
		result.Stored, result.Source = &fetched.Manifest.Stored, &fetched.Manifest.Source
	}
	return result, nil
}
