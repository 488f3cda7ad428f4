package doctor

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
)

// PrintOptions are the flags that say how to print.
type PrintOptions struct {
	Output    string
	Color     string
	NoHeaders bool

	printer printer.Options
}

// AddFlags adds -o, --color and --no-headers.
func (p *PrintOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&p.Output, "output", "o", "", "Output format: table, wide, json, yaml, kyaml, name, jsonpath=…, go-template=…")
	cmd.Flags().StringVar(&p.Color, "color", "auto", "Colour: auto, always or never; auto heeds NO_COLOR and needs a terminal")
	cmd.Flags().BoolVar(&p.NoHeaders, "no-headers", false, "Leave out the headers of tables")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(printer.Formats(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("color", cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp)))
}

// Complete resolves the flags against the terminal.
func (p *PrintOptions) Complete(streams genericiooptions.IOStreams) error {
	if err := oneOf("--color", p.Color, "auto", "always", "never"); err != nil {
		return err
	}
	p.printer = printer.Options{
		Format:    p.Output,
		Color:     p.Color == "always" || (p.Color == "auto" && printers.AllowsColorOutput(streams.Out)),
		NoHeaders: p.NoHeaders,
	}
	if file, ok := streams.Out.(*os.File); ok && printers.IsTerminal(file) {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			p.printer.Width = width
		}
	}
	if err := p.printer.Validate(); err != nil {
		return fmt.Errorf("-o: %w", err)
	}
	return nil
}

// Printer prints as the flags say.
func (p *PrintOptions) Printer() printer.Options { return p.printer }
