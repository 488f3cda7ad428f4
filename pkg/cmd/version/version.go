// Package version is `kubectl prod version`.
package version

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
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

// Versions is what `kubectl prod version -o json` prints, in kubectl's own words.
type Versions struct {
	Client Info             `json:"clientVersion"`
	Server *apiversion.Info `json:"serverVersion,omitempty"` // only when asked for
}

// options are the flags of `kubectl prod version`.
type options struct {
	connected *connection.Flags
	streams   genericiooptions.IOStreams
	info      Info

	server bool
	output string
}

// NewCommand is `kubectl prod version`. It asks the cluster nothing unless told
// to: at 3 a.m. it answers when the API server does not.
func NewCommand(connected *connection.Flags, streams genericiooptions.IOStreams, info Info) *cobra.Command {
	o := &options{connected: connected, streams: streams, info: info}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this plugin, and of the cluster",
		Example: `  # Of the plugin alone, without a word to the cluster
  kubectl prod version

  # Of the API server too, for a bug report
  kubectl prod version --server -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.server, "server", false, "Ask the API server for its version too")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "Output format: json or yaml")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// run prints what is known of the plugin also when the server does not answer.
func (o *options) run(ctx context.Context) error {
	if !slices.Contains([]string{"", "json", "yaml"}, o.output) {
		return fmt.Errorf("unknown output format %q: -o takes json or yaml", o.output)
	}
	versions := Versions{Client: o.info}
	var unanswered error
	if o.server {
		versions.Server, unanswered = ask(ctx, o.connected)
	}
	return errors.Join(o.print(versions), unanswered)
}

func (o *options) print(versions Versions) error {
	switch o.output {
	case "json":
		encoder := json.NewEncoder(o.streams.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(versions)
	case "yaml":
		text, err := yaml.Marshal(versions)
		if err != nil {
			return err
		}
		_, err = o.streams.Out.Write(text)
		return err
	}
	client := versions.Client
	fmt.Fprintf(o.streams.Out, "kubectl prod %s (%sKubernetes libraries %s, %s, %s)\n", client.Version, client.commit(), client.Kubernetes, client.Go, client.Platform)
	if versions.Server == nil {
		return nil
	}
	fmt.Fprintf(o.streams.Out, "server %s (context %s)\n", versions.Server.GitVersion, o.connected.ContextName())
	if note := untested(versions.Server, client.Kubernetes); note != "" {
		fmt.Fprintf(o.streams.ErrOut, "note: %s\n", note)
	}
	return nil
}

// commit is the short name of the commit and its day, where they are known.
func (i Info) commit() string {
	const short, day = 12, len("2006-01-02")
	if len(i.Commit) < short || len(i.Date) < day {
		return ""
	}
	return fmt.Sprintf("commit %s of %s, ", i.Commit[:short], i.Date[:day])
}
