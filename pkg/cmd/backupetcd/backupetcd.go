// Package backupetcd is `kubectl prod backup-etcd`.
package backupetcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/role"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/find"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/keep"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/prove"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/schedule"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/take"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	// readTimeout bounds reading the cluster, before anything is asked of etcd.
	readTimeout = 2 * time.Minute
	// askTimeout bounds one question to an endpoint.
	askTimeout = 10 * time.Second
)

// options are what `kubectl prod backup-etcd` was asked.
type options struct {
	genericiooptions.IOStreams
	Connection *connection.Flags
	Print      output.Options

	To        string
	Endpoints take.Endpoints
	Compress  bool
	secrets   secretFlags
	Rule      ruleFlags
	Depth     string
	Scratch   string
	Timeout   time.Duration
	PrintRBAC bool
}

// NewCommand is `kubectl prod backup-etcd`.
func NewCommand(flags *connection.Flags, streams genericiooptions.IOStreams) *cobra.Command {
	o := &options{IOStreams: streams, Connection: flags}
	cmd := &cobra.Command{
		Use:   "backup-etcd",
		Short: "Save etcd, with a backup that is already a proven restore",
		Long: `Save etcd, with a backup that is already a proven restore.

backup-etcd finds the etcd pods of the current context and runs a helper pod
beside a healthy follower, from etcd's own image: it saves a snapshot with the
node's certificates, restores it, and serves what it restored on its own
loopback, from where the snapshot streams here. No key leaves the node. Then the
snapshot is restored once more on this machine, its objects are counted and held
against the live cluster at the same revision, and the helper is removed.

With --endpoints any etcd is asked that can be reached, with certificates of
your own. Distributions with a way of their own (K3s, RKE2, MicroK8s, Talos,
OpenShift) are told with the exact command.

A destination is a directory or a URL: s3://BUCKET/PREFIX, gs://…, azblob://….
Credentials come from where the provider's own tools take them; an S3-compatible
server is named by parameters: 's3://b/p?endpoint=https://…&region=…'.

Exit codes: 0, proven and kept; 2, no backup, or one that could not be proven,
which is kept under a name that ends with .unproven; 130, interrupted.`,
		Example: `  # A proven snapshot in this directory
  kubectl prod backup-etcd

  # Compressed and encrypted into a bucket, where the last 14 are kept
  kubectl prod backup-etcd --to s3://backups/prod --compress --encrypt-to age1… --keep 14

  # An etcd outside the cluster
  kubectl prod backup-etcd --endpoints https://10.0.0.5:2379 --cacert ca.crt --cert client.crt --key client.key`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("backup-etcd takes no argument, and got %q (--to names the destination)", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.PrintRBAC {
				return role.Print(o.Out, schedule.Roles("kubectl-prod-backup-etcd")...)
			}
			if err := o.complete(); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.addFlags(cmd)
	cmd.AddCommand(newVerifyCommand(streams), newListCommand(streams), newPruneCommand(streams), newFetchCommand(streams),
		newRestorePlanCommand(flags, streams), newScheduleCommand(flags, streams), newChildCommand())
	return cmd
}

func (o *options) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.To, "to", ".", "Destination: a directory or a URL")
	flags.StringSliceVar(&o.Endpoints.URLs, "endpoints", nil, "Ask these etcd members instead of a helper pod")
	flags.StringVar(&o.Endpoints.CA, "cacert", "", "Certificate of the authority that signed the endpoints'")
	flags.StringVar(&o.Endpoints.Cert, "cert", "", "Client certificate for the endpoints")
	flags.StringVar(&o.Endpoints.Key, "key", "", "Key of the client certificate")
	flags.BoolVar(&o.Compress, "compress", false, "Compress with zstd")
	o.secrets.addEncrypt(cmd)
	o.Rule.add(cmd)
	addDepthFlags(cmd, &o.Depth, &o.Scratch)
	flags.DurationVar(&o.Timeout, "timeout", 2*time.Hour, "Give up after this long; the helper pod ends by itself soon after")
	role.AddFlag(cmd, &o.PrintRBAC, "a backup by a helper pod: one of kube-system, one of the cluster")
	o.Print.AddFlags(cmd, printer.ObjectFormats())
}

func (o *options) complete() error {
	if _, err := depthOf(o.Depth); err != nil {
		return err
	}
	if o.Timeout <= 0 {
		return fmt.Errorf("--timeout must be more than nothing, and is %s", o.Timeout)
	}
	if (o.Endpoints.Cert == "") != (o.Endpoints.Key == "") {
		return errors.New("--cert and --key go together")
	}
	if len(o.Endpoints.URLs) == 0 && (o.Endpoints.CA != "" || o.Endpoints.Cert != "") {
		return errors.New("--cacert, --cert and --key go with --endpoints: a helper pod uses the node's own")
	}
	o.Endpoints.Timeout = askTimeout
	return o.Print.Complete(o.IOStreams)
}

func (o *options) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	backup, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = backup.Store.Close() }() // nothing is open any more
	status := newStatus(o.ErrOut)
	defer status.clear()
	backup.Step, backup.Bytes, backup.Prover.Progress = status.step, status.bytes, status.step
	backup.Warn = func(format string, args ...any) { status.say("warning: "+format, args...) }
	result, err := backup.Run(ctx)
	status.clear()
	if result != nil {
		if printed := o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().EtcdBackup(w, result) }); printed != nil {
			return errors.Join(err, printed)
		}
	}
	var left *take.LeftError
	switch {
	case ctx.Err() != nil && errors.As(err, &left):
		return exit.With(exit.Interrupted, "interrupted: nothing was kept, and %v", left)
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return fmt.Errorf("not done within --timeout %s: nothing was kept", o.Timeout)
	case errors.Is(err, context.Canceled):
		return exit.With(exit.Interrupted, "interrupted: nothing was kept, and the helper pod is removed")
	case err != nil:
		return err
	case result.Proof.Verdict != report.Proven:
		return exit.With(exit.Failed, "the snapshot could not be proven and is kept as %s: %s", result.Name, result.Proof.Reason)
	default:
		return nil
	}
}

// prepare resolves flags, destination and cluster.
func (o *options) prepare(ctx context.Context) (*etcd.Backup, error) {
	depth, err := depthOf(o.Depth)
	if err != nil {
		return nil, err
	}
	recipients, err := o.secrets.recipients(o.IOStreams)
	if err != nil {
		return nil, err
	}
	store, err := keep.Open(ctx, o.To)
	if err != nil {
		return nil, err
	}
	b := &etcd.Backup{
		Endpoints: o.Endpoints, Store: store, Local: keep.Local(store),
		Codec: keep.Codec{Compress: o.Compress, Recipients: recipients},
		Rule:  o.Rule.rule(), Depth: depth, Timeout: o.Timeout + 5*time.Minute, Tool: "kubectl-prod/" + o.Connection.Version,
		Prover: prove.Prover{Child: child, Scratch: o.Scratch},
	}
	if b.Local == "" {
		if _, err := store.List(ctx); err != nil { // before a cluster is asked anything
			return nil, err
		}
	}
	if err := o.connect(ctx, b); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return b, nil
}

// connect reads the cluster of the current context. With --endpoints it may be
// out of reach: that is when a backup is wanted most.
func (o *options) connect(ctx context.Context, b *etcd.Backup) error {
	snapshot, err := o.Connection.Read(ctx, o.ErrOut, readTimeout, find.Live(), find.Needs())
	if err != nil {
		if len(b.Endpoints.URLs) > 0 && ctx.Err() == nil {
			fmt.Fprintf(o.ErrOut, "warning: the cluster's API is not asked, neither to compare nor to leave a record: %s\n", printer.EscapeLines(err.Error()))
			return nil
		}
		return err
	}
	b.Snapshot = snapshot
	if b.Config, err = o.Connection.Connect(); err != nil {
		return err
	}
	b.Config.QPS, b.Config.Burst = -1, -1 // the server's own fairness does that
	b.Client, err = kubernetes.NewForConfig(b.Config)
	return err
}
