package docs

import (
	"bytes"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/version"
)

// commands is the tree of commands, as it is everywhere.
func commands() *cobra.Command {
	streams := genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: io.Discard, ErrOut: io.Discard}
	return cmd.NewCommand(streams, version.Info{})
}

// commandPages are a page for each command that is not hidden, and a manual
// page for `man -l`.
func commandPages() (Files, error) {
	root := commands()
	root.DisableAutoGenTag = true // its date would differ every day
	files := Files{}
	return files, eachCommand(root, func(c *cobra.Command) error {
		c.DisableAutoGenTag = true
		homeless(c.Flags())
		homeless(c.PersistentFlags())
		var page bytes.Buffer
		if err := doc.GenMarkdown(c, &page); err != nil {
			return err
		}
		files["docs/commands/"+strings.ReplaceAll(c.CommandPath(), " ", "_")+".md"] = page.Bytes()
		var manual bytes.Buffer
		header := doc.GenManHeader{Title: strings.ToUpper(strings.ReplaceAll(c.CommandPath(), " ", "-")), Section: "1", Source: "kubectl prod", Date: new(Time())}
		err := doc.GenMan(c, &header, &manual)
		files["docs/man/"+strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"] = manual.Bytes()
		return err
	})
}

func eachCommand(c *cobra.Command, visit func(*cobra.Command) error) error {
	if !c.IsAvailableCommand() && c.HasParent() {
		return nil
	}
	if err := visit(c); err != nil {
		return err
	}
	for _, child := range c.Commands() {
		if err := eachCommand(child, visit); err != nil {
			return err
		}
	}
	return nil
}

// homeless keeps the home of whoever runs this out of the flags' defaults.
func homeless(flags *pflag.FlagSet) {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return
	}
	flags.VisitAll(func(flag *pflag.Flag) { flag.DefValue = strings.ReplaceAll(flag.DefValue, home, "$HOME") })
}
