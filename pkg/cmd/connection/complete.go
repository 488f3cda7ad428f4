package connection

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// completionTimeout is how long the tab key may wait for a cluster.
const completionTimeout = 2 * time.Second

// Complete completes the connection flags. kubectl hands a plugin's completer
// only the words after the plugin's name, so its own completion of these flags
// is no help.
func (f *Flags) Complete(root *cobra.Command) {
	for flag, complete := range map[string]func(context.Context) []string{
		"namespace": f.namespaces,
		"context":   f.contexts,
		"cluster":   f.clusters,
		"user":      f.users,
	} {
		cobra.CheckErr(root.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return complete(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		}))
	}
}

func (f *Flags) namespaces(ctx context.Context) []string {
	var names []string
	if snapshot := f.Offer(ctx, cluster.Namespaces); snapshot != nil {
		for _, ns := range snapshot.Namespaces {
			names = append(names, ns.Name)
		}
	}
	return names
}

// Offer reads kinds for the tab key: in time, or nil. It does not wait for what
// heeds no deadline, such as a kubeconfig's credential plugin that asks a
// question.
func (f *Flags) Offer(ctx context.Context, kinds ...cluster.Kind) *cluster.Snapshot {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	read := make(chan *cluster.Snapshot, 1)
	go func() { read <- f.offer(ctx, kinds) }()
	select {
	case snapshot := <-read:
		return snapshot
	case <-ctx.Done():
		return nil
	}
}

func (f *Flags) offer(ctx context.Context, kinds []cluster.Kind) *cluster.Snapshot {
	config, err := f.ToRESTConfig()
	if err != nil {
		return nil
	}
	config.Timeout = completionTimeout
	snapshot, err := cluster.Live{Config: config}.Load(ctx, kinds)
	if err != nil {
		return nil
	}
	return snapshot
}

func (f *Flags) contexts(context.Context) []string {
	raw, err := f.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	return keys(raw.Contexts)
}

func (f *Flags) clusters(context.Context) []string {
	raw, err := f.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	return keys(raw.Clusters)
}

func (f *Flags) users(context.Context) []string {
	raw, err := f.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	return keys(raw.AuthInfos)
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
