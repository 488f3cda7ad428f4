package doctor

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/config"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
)

func newTestCommand(streams genericiooptions.IOStreams) *cobra.Command {
	o := &testOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "test -f MANIFESTS",
		Short: "Try your own rules on manifests",
		Long: `Try the rules of your own (custom in ` + config.DefaultFile + `) on manifests:
every object that a rule judges is shown with the verdict.

Exit codes: 0, all in order; 1, something is not; 2, a rule does not compile or
fails, or a manifest cannot be read.`,
		Example: "  kubectl prod doctor test -f examples/shop",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().StringSliceVarP(&o.filenames, "filename", "f", nil, "Files, directories, URLs, or - for standard input")
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "R", false, "Descend into the directories of -f")
	cmd.Flags().StringVar(&o.configFile, "config", config.DefaultFile, "File with the rules")
	o.print.AddFlags(cmd, printer.ListFormats())
	return cmd
}

type testOptions struct {
	genericiooptions.IOStreams
	filenames  []string
	recursive  bool
	configFile string
	print      output.Options
}

func (o *testOptions) run(ctx context.Context) error {
	if err := o.print.Complete(o.IOStreams); err != nil {
		return err
	}
	if len(o.filenames) == 0 {
		return errors.New("name the manifests to try the rules on: -f FILE")
	}
	settings, err := config.Load(o.configFile, catalogue.All())
	if err != nil {
		return err
	}
	if len(settings.Custom) == 0 {
		return errors.New(o.configFile + " has no rules of your own (custom)")
	}
	snapshot, unread := cluster.Manifests{Filenames: o.filenames, Recursive: o.recursive, Namespace: "default", Stdin: o.In}.Load(ctx)
	if len(unread) > 0 {
		return errors.Join(unread...)
	}
	trial := practice.Try(snapshot, settings.Custom)
	if err := o.print.Write(o.IOStreams, func(w io.Writer) error { return o.print.Printer().Trial(w, trial) }); err != nil {
		return err
	}
	switch {
	case trial.Failed > 0:
		return exit.With(exit.Failed, "")
	case trial.Found > 0:
		return exit.With(exit.Found, "")
	}
	return nil
}
