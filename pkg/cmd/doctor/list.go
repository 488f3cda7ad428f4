package doctor

import (
	"io"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/config"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
)

func newListCommand(streams genericiooptions.IOStreams) *cobra.Command {
	var print output.Options
	var configFile string
	cmd := &cobra.Command{
		Use:   "list [ID|CHAPTER...]",
		Short: "List the practices",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := print.Complete(streams); err != nil {
				return err
			}
			chosen, err := describable(configFile, args)
			if err != nil {
				return err
			}
			return print.Write(streams, func(w io.Writer) error { return print.Printer().Catalogue(w, practice.Describe(chosen)) })
		},
		ValidArgsFunction: completePractices,
	}
	cmd.Flags().StringVar(&configFile, "config", "", "File with settings, and with rules of your own ("+config.DefaultFile+" in the working directory, where it is there)")
	print.AddFlags(cmd, printer.ListFormats())
	return cmd
}

func newExplainCommand(streams genericiooptions.IOStreams) *cobra.Command {
	var print output.Options
	var configFile string
	cmd := &cobra.Command{
		Use:     "explain ID...",
		Short:   "Say why a practice matters, how it is judged and how to mend it",
		Example: "  kubectl prod doctor explain pdb-blocks-drain",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := print.Complete(streams); err != nil {
				return err
			}
			chosen, err := describable(configFile, args)
			if err != nil {
				return err
			}
			return print.Write(streams, func(w io.Writer) error { return print.Printer().Explanation(w, practice.Describe(chosen)) })
		},
		ValidArgsFunction: completePractices,
	}
	cmd.Flags().StringVar(&configFile, "config", "", "File with settings, and with rules of your own ("+config.DefaultFile+" in the working directory, where it is there)")
	print.AddFlags(cmd, printer.ListFormats())
	return cmd
}
