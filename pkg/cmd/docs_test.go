package cmd

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/version"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
	"github.com/kubectl-prod/kubectl-prod/test/pages"
)

// TestEveryCommandInTheDocsIsOne holds that each command that a page names is
// there, with its flags, arguments and practices.
func TestEveryCommandInTheDocsIsOne(t *testing.T) {
	commands, err := pages.Commands(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile(`'[^'\n]*'`)
	found := 0
	for _, c := range commands {
		words := strings.Fields(quoted.ReplaceAllString(c.Line, "QUOTED"))
		if !isCommand(words[0]) {
			continue // a line of output: "kubectl prod v1.2.3 …"
		}
		found++
		if err := parses(words); err != nil {
			t.Errorf("%s: kubectl prod %s: %v", c.Page, c.Line, err)
		}
	}
	if found < 30 {
		t.Errorf("found %d commands only", found)
	}
}

func isCommand(verb string) bool {
	root := NewCommand(genericiooptions.NewTestIOStreamsDiscard(), version.Info{})
	found, _, err := root.Find([]string{verb})
	return err == nil && found != root
}

// parses resolves a command line as cobra would, and runs nothing.
func parses(words []string) error {
	root := NewCommand(genericiooptions.NewTestIOStreamsDiscard(), version.Info{})
	found, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if slices.Contains(rest, "--help") {
		return nil
	}
	if err := found.ParseFlags(withValues(rest)); err != nil {
		return err
	}
	if err := found.ValidateArgs(found.Flags().Args()); err != nil && len(found.Flags().Args()) > 0 {
		return err
	}
	return knownPractices(found.Flags())
}

// knownPractices holds that what --check and --skip name is in the catalogue.
func knownPractices(flags *pflag.FlagSet) error {
	for _, flag := range []string{"check", "skip", "fix"} {
		names, err := flags.GetStringSlice(flag)
		if err != nil {
			continue // the command has no such flag
		}
		for _, name := range names {
			if name == strings.ToUpper(name) {
				continue // a placeholder
			}
			if !slices.ContainsFunc(catalogue.All(), func(p practice.Practice) bool { return p.ID == name || string(p.Chapter) == name }) {
				return fmt.Errorf("--%s names %q, which is no practice", flag, name)
			}
		}
	}
	return nil
}

// withValues leaves out the ellipsis that prose ends a command with.
func withValues(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == "…" || word == "..." })
}
