package cmd

import (
	"fmt"
	"io/fs"
	"os"
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
)

// command finds `kubectl prod …` in code: up to its end, or to what a shell would
// take for its own. What is quoted is one word.
func command() *regexp.Regexp {
	return regexp.MustCompile("kubectl prod ([a-z][^\n|>;&)\"]*)")
}

// code is what a page has between backticks and in blocks of code.
func code(page string) []string {
	fence := "```"
	var all []string
	for i, part := range strings.Split(page, fence) {
		if i%2 == 1 {
			// A command goes on after a backslash at the line's end.
			all = append(all, strings.ReplaceAll(part, "\\\n", " "))
			continue
		}
		for i, span := range strings.Split(part, "`") {
			if i%2 == 1 {
				all = append(all, span)
			}
		}
	}
	return all
}

// TestEveryCommandInTheDocsIsOne holds that each command that a page names is
// there, with its flags, arguments and practices.
func TestEveryCommandInTheDocsIsOne(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		quoted := regexp.MustCompile(`'[^'\n]*'`)
		comment := regexp.MustCompile(`(?m)(^|\s)#.*$`)
		for _, span := range code(string(text)) {
			for _, match := range command().FindAllStringSubmatch(comment.ReplaceAllString(quoted.ReplaceAllString(span, "QUOTED"), ""), -1) {
				words := strings.Fields(match[1])
				if !isCommand(words[0]) {
					continue // a line of output: "kubectl prod v1.2.3 …"
				}
				found++
				if err := parses(words); err != nil {
					t.Errorf("%s: kubectl prod %s: %v", page, strings.Join(words, " "), err)
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("found %d commands only", found)
	}
}

// pages are the repository's, but for those that are made from the commands.
func pages(t *testing.T) []string {
	t.Helper()
	root := filepath.Join("..", "..")
	all, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err == nil && entry.Name() == "commands":
			return fs.SkipDir
		case err == nil && filepath.Ext(path) == ".md":
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
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
