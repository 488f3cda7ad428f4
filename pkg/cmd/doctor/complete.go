package doctor

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
)

// completions completes the flags' values. None of it writes an error: a tab
// that has nothing to offer offers nothing.
func (o *Options) completions(cmd *cobra.Command) {
	severities := []string{"critical", "warning", "info"}
	for flag, complete := range map[string]cobra.CompletionFunc{
		"check":      completePractices,
		"skip":       completePractices,
		"severity":   cobra.FixedCompletions(severities, cobra.ShellCompDirectiveNoFileComp),
		"fail-on":    cobra.FixedCompletions(append(severities, "none"), cobra.ShellCompDirectiveNoFileComp),
		"selector":   cobra.NoFileCompletions,
		"timeout":    cobra.NoFileCompletions,
		"upgrade-to": cobra.NoFileCompletions,
	} {
		cobra.CheckErr(cmd.RegisterFlagCompletionFunc(flag, complete))
	}
}

// completePractices completes practice IDs and chapters, also after a comma.
func completePractices(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	var before string
	if comma := strings.LastIndex(word, ","); comma >= 0 {
		before = word[:comma+1]
	}
	var offered []string
	for _, chapter := range practice.Chapters() {
		offered = append(offered, cobra.CompletionWithDesc(before+string(chapter), "chapter: "+chapter.Title()))
	}
	for _, p := range catalogue.All() {
		offered = append(offered, cobra.CompletionWithDesc(before+p.ID, p.Title))
	}
	return offered, cobra.ShellCompDirectiveNoFileComp
}
