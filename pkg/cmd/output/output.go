// Package output is how every verb prints: the flags that say in which format,
// where to and in which colours.
package output

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
)

// Options are the flags that say how to print.
type Options struct {
	Output     string
	OutputFile string
	Color      string
	NoHeaders  bool

	formats []string
	printer printer.Options
}

// AddFlags adds -o with these formats, --output-file, --color and --no-headers.
func (p *Options) AddFlags(cmd *cobra.Command, formats []string) {
	p.formats = formats
	cmd.Flags().StringVarP(&p.Output, "output", "o", "", "Output format: "+strings.ReplaceAll(strings.Join(formats, ", "), "=", "=…"))
	cmd.Flags().StringVar(&p.OutputFile, "output-file", "", "Write the output to this file instead of standard output, whole or not at all")
	cmd.Flags().StringVar(&p.Color, "color", "auto", "Colour: auto, always or never; auto heeds NO_COLOR and needs a terminal")
	cmd.Flags().BoolVar(&p.NoHeaders, "no-headers", false, "Leave out the headers of tables")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(colors(), cobra.ShellCompDirectiveNoFileComp)))
}

func colors() []string { return []string{"auto", "always", "never"} }

// Complete resolves the flags against the terminal.
func (p *Options) Complete(streams genericiooptions.IOStreams) error {
	if !slices.Contains(colors(), p.Color) {
		return fmt.Errorf("--color takes %s, and got %q", strings.Join(colors(), ", "), p.Color)
	}
	p.printer = printer.Options{
		Format:    p.Output,
		Color:     p.Color == "always" || (p.Color == "auto" && p.OutputFile == "" && printers.AllowsColorOutput(streams.Out)),
		NoHeaders: p.NoHeaders,
	}
	if p.OutputFile != "" {
		if err := writable(p.OutputFile); err != nil { // before a cluster is asked anything
			return fmt.Errorf("--output-file: %w", err)
		}
	} else if file, ok := streams.Out.(*os.File); ok && printers.IsTerminal(file) {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			p.printer.Width = width
		}
	}
	if err := p.printer.Validate(p.formats); err != nil {
		return fmt.Errorf("-o: %w", err)
	}
	return nil
}

// Printer prints as the flags say.
func (p *Options) Printer() printer.Options { return p.printer }

// Write prints to --output-file, or else to standard output.
func (p *Options) Write(streams genericiooptions.IOStreams, print func(io.Writer) error) error {
	if p.OutputFile == "" {
		return print(streams.Out)
	}
	if err := writeWhole(p.OutputFile, print); err != nil {
		return fmt.Errorf("--output-file: %w", err)
	}
	return nil
}
