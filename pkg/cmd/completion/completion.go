// Package completion is `kubectl prod completion`: the link through which
// kubectl completes its plugins, and scripts for those who type kubectl-prod.
package completion

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// Completer is the name under which kubectl 1.26 and later runs a plugin's
// completion (kubectl: pkg/cmd/plugin_completion.go). The same binary answers
// to it, so that a link is all there is to install.
const Completer = "kubectl_complete-prod"

// plugin is the name under which kubectl finds the plugin on PATH.
const plugin = "kubectl-prod"

// NewCommand is `kubectl prod completion`. It asks the cluster nothing.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	var install bool
	cmd := &cobra.Command{
		Use:   "completion [bash|zsh|fish|powershell]",
		Short: "Set tab completion up",
		Long: `Set tab completion up.

kubectl 1.26 and later completes a plugin through a program named
` + Completer + ` on PATH. --install puts it there: a link beside the plugin
(on Windows a copy, to be made anew after an upgrade). kubectl's own completion
has to be set up: kubectl completion --help says how.

With a shell's name it prints a script that completes ` + plugin + ` typed
directly, without kubectl.`,
		Example: `  # kubectl prod <TAB>
  kubectl prod completion --install

  # kubectl-prod <TAB>, in bash
  source <(kubectl prod completion bash)`,
		ValidArgs: shells(),
		Args:      oneShell,
		RunE: func(cmd *cobra.Command, args []string) error {
			if install == (len(args) == 1) {
				return errors.New("say either --install or a shell: " + strings.Join(shells(), ", "))
			}
			if install {
				return installLink(streams)
			}
			return script(cmd.Root(), streams.Out, args[0])
		},
	}
	cmd.Flags().BoolVar(&install, "install", false, "Put "+Completer+" beside the plugin, for kubectl to find")
	return cmd
}

func shells() []string { return []string{"bash", "zsh", "fish", "powershell"} }

func oneShell(_ *cobra.Command, args []string) error {
	if len(args) > 1 || len(args) == 1 && !slices.Contains(shells(), args[0]) {
		return fmt.Errorf("completion takes one of %s, and got %q", strings.Join(shells(), ", "), strings.Join(args, " "))
	}
	return nil
}

// script prints cobra's completion of the binary under the name that is typed.
func script(root *cobra.Command, out io.Writer, shell string) error {
	use := root.Use
	defer func() { root.Use = use }()
	root.Use = plugin
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(out, true)
	case "zsh":
		return root.GenZshCompletion(out)
	case "fish":
		return root.GenFishCompletion(out, true)
	default:
		return root.GenPowerShellCompletionWithDesc(out)
	}
}

// installLink puts the completer beside the plugin that kubectl would run.
func installLink(streams genericiooptions.IOStreams) error {
	path, err := exec.LookPath(plugin)
	if err != nil {
		return fmt.Errorf("%s is not on PATH, where kubectl looks for plugins: %w", plugin, err)
	}
	made, err := link(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(streams.Out, "%s: kubectl completes \"kubectl prod\" from the next shell on (kubectl's own completion: kubectl completion --help)\n", made)
	return err
}
