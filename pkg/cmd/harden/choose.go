package harden

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/config"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
)

// chosen are the practices to mend: those that --fix names, or all that have a
// remedy; those whose remedy is right for some alone only when named.
func chosen(settings *config.Config, fix []string, ofManifests bool) ([]practice.Practice, error) {
	all, err := settings.Choose(catalogue.All(), fix, nil)
	if err != nil {
		return nil, err
	}
	remediable := harden.Remediable(all)
	if ofManifests {
		remediable = slices.DeleteFunc(slices.Clone(all), func(p practice.Practice) bool { return p.Remedy == nil || p.LiveOnly })
	}
	for _, name := range fix {
		if !slices.ContainsFunc(remediable, func(p practice.Practice) bool { return p.ID == name || string(p.Chapter) == name }) {
			return nil, fmt.Errorf("--fix %s: harden knows no remedy for it (kubectl prod doctor explain %s says how to mend it)", name, name)
		}
	}
	return slices.DeleteFunc(remediable, func(p practice.Practice) bool {
		return p.Remedy.OptIn && !slices.Contains(fix, p.ID)
	}), nil
}

// name resolves TYPE/NAME arguments as kubectl does.
func (o *Options) name(args []string) error {
	namespace, _, err := o.Connection.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return err
	}
	infos, err := resource.NewBuilder(o.Connection).Unstructured().
		NamespaceParam(namespace).DefaultNamespace().AllNamespaces(o.AllNamespaces).
		ResourceTypeOrNameArgs(true, args...).Flatten().Do().Infos()
	if err != nil {
		return err
	}
	wanted := map[cluster.Ref]bool{}
	namespaces := map[string]bool{}
	for _, info := range infos {
		object, ok := info.Object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		ref := cluster.RefTo(object)
		wanted[unversioned(ref)] = true
		if ref.Kind == "Namespace" && ref.APIVersion == "v1" {
			namespaces[ref.Name] = true
		} else {
			namespaces[ref.Namespace] = true
		}
	}
	o.named = func(ref cluster.Ref) bool { return wanted[unversioned(ref)] }
	if len(namespaces) == 1 {
		for namespace := range namespaces {
			o.scope.Namespace = namespace // less to read
		}
	}
	return nil
}

// unversioned names an object whatever the version it was read in.
func unversioned(ref cluster.Ref) cluster.Ref {
	if gv, err := schema.ParseGroupVersion(ref.APIVersion); err == nil {
		ref.APIVersion = gv.Group
	}
	return ref
}

// keep narrows findings to those on the objects that were named, or on what
// those are made from.
func (o *Options) keep(s *cluster.Snapshot) func(cluster.Ref) bool {
	if o.named == nil {
		return nil
	}
	return func(ref cluster.Ref) bool {
		w := s.WorkloadByRef(ref)
		return o.named(ref) || w != nil && o.named(w.Self)
	}
}

// completions completes the flags' values.
func (o *Options) completions(cmd *cobra.Command) {
	for flag, complete := range map[string]cobra.CompletionFunc{
		"fix":      completeRemedies,
		"dry-run":  cobra.FixedCompletions([]string{"client", "server", "none"}, cobra.ShellCompDirectiveNoFileComp),
		"selector": cobra.NoFileCompletions,
		"timeout":  cobra.NoFileCompletions,
		"soak":     cobra.NoFileCompletions,
	} {
		cobra.CheckErr(cmd.RegisterFlagCompletionFunc(flag, complete))
	}
}

// completeRemedies completes the practices that have a remedy, also after a
// comma.
func completeRemedies(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	var before string
	if comma := strings.LastIndex(word, ","); comma >= 0 {
		before = word[:comma+1]
	}
	var offered []string
	for _, p := range harden.Remediable(catalogue.All()) {
		offered = append(offered, cobra.CompletionWithDesc(before+p.ID, p.Remedy.Does))
	}
	return offered, cobra.ShellCompDirectiveNoFileComp
}
