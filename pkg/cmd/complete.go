package cmd

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// completionTimeout is how long the tab key may wait for a cluster.
const completionTimeout = 2 * time.Second

// completeConnection completes the connection flags. kubectl hands a plugin's
// completer only the words after the plugin's name, so its own completion of
// these flags is no help.
func completeConnection(root *cobra.Command, config *genericclioptions.ConfigFlags) {
	for flag, complete := range map[string]func(context.Context, *genericclioptions.ConfigFlags) []string{
		"namespace": namespaces,
		"context":   contexts,
		"cluster":   clusters,
		"user":      users,
	} {
		cobra.CheckErr(root.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return complete(cmd.Context(), config), cobra.ShellCompDirectiveNoFileComp
		}))
	}
}

// namespaces asks the cluster; where it does not answer in time there are none.
func namespaces(ctx context.Context, config *genericclioptions.ConfigFlags) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	connection, err := config.ToRESTConfig()
	if err != nil {
		return nil
	}
	connection.Timeout = completionTimeout
	snapshot, err := cluster.Live{Config: connection}.Load(ctx, []cluster.Kind{cluster.Namespaces})
	if err != nil {
		return nil
	}
	var names []string
	for _, ns := range snapshot.Namespaces {
		names = append(names, ns.Name)
	}
	return names
}

func contexts(_ context.Context, config *genericclioptions.ConfigFlags) []string {
	raw, err := config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	return keys(raw.Contexts)
}

func clusters(_ context.Context, config *genericclioptions.ConfigFlags) []string {
	raw, err := config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	return keys(raw.Clusters)
}

func users(_ context.Context, config *genericclioptions.ConfigFlags) []string {
	raw, err := config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	return keys(raw.AuthInfos)
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
