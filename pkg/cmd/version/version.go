// Package version is `kubectl prod version`.
package version

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"
)

// Info says what this binary is.
type Info struct {
	Version    string `json:"version"`
	Commit     string `json:"commit,omitempty"`
	Date       string `json:"date,omitempty"`
	Kubernetes string `json:"kubernetesLibraries"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
}

// Current is this binary's Info, from what the Go linker records. release is
// the version a release build was given; "" otherwise.
func Current(release string) Info {
	info := Info{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	if info.Version == "" {
		info.Version = build.Main.Version
	}
	for _, setting := range build.Settings {
		switch setting.Key {
		case "vcs.revision":
			info.Commit = setting.Value
		case "vcs.time":
			info.Date = setting.Value
		}
	}
	for _, module := range build.Deps {
		if module.Path == "k8s.io/client-go" {
			info.Kubernetes = module.Version
		}
	}
	return info
}

// NewCommand is `kubectl prod version`. It asks the cluster nothing.
func NewCommand(streams genericiooptions.IOStreams, info Info) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this plugin",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch output {
			case "":
				_, err := fmt.Fprintf(streams.Out, "kubectl prod %s (Kubernetes libraries %s, %s, %s)\n", info.Version, info.Kubernetes, info.Go, info.Platform)
				return err
			case "json":
				encoder := json.NewEncoder(streams.Out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(info)
			case "yaml":
				text, err := yaml.Marshal(info)
				if err == nil {
					_, err = streams.Out.Write(text)
				}
				return err
			default:
				return fmt.Errorf("unknown output format %q: -o takes json or yaml", output)
			}
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "Output format: json or yaml")
	return cmd
}
