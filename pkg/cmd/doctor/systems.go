package doctor

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/system"
)

func newSystemsCommand(flags *connection.Flags, streams genericiooptions.IOStreams) *cobra.Command {
	o := &Options{IOStreams: streams, Connection: flags, Timeout: connection.ReadTimeout}
	cmd := &cobra.Command{
		Use:   "systems",
		Short: "Show the systems around the cluster: what they are, whether they are healthy, what they change",
		Long: `Show the systems around the cluster: its distribution, and what was recognised
from the APIs it serves and the images it runs, with version and health, and
with what each changes for the practices.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Print.Complete(streams); err != nil {
				return err
			}
			return o.systems(cmd.Context())
		},
	}
	o.Print.AddFlags(cmd, printer.ListFormats())
	return cmd
}

func (o *Options) systems(ctx context.Context) error {
	snapshot, err := o.Connection.Read(ctx, o.ErrOut, o.Timeout, cluster.Live{}, system.Needs())
	if err != nil {
		return err
	}
	return o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().Systems(w, system.Find(snapshot)) })
}
