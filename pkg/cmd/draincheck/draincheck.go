// Package draincheck is `kubectl prod drain-check`.
package draincheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/role"
	"github.com/kubectl-prod/kubectl-prod/pkg/drain"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Options are what `kubectl prod drain-check` was asked.
type Options struct {
	genericiooptions.IOStreams
	Connection *connection.Flags

	Nodes           []string
	Selector        string
	All             bool
	Plan            bool
	Watch           bool
	PrintRBAC       bool
	SchedulerConfig string
	Drain           drain.Options
	Print           output.Options

	selector labels.Selector
	config   []byte
}

const example = `  # Would this drain finish, and what would break?
  kubectl prod drain-check worker-1

  # Asked exactly as it will be typed
  kubectl prod drain-check worker-1 --ignore-daemonsets --delete-emptydir-data

  # For the change ticket
  kubectl prod drain-check -l pool=blue -o markdown

  # In which order, and how many at once, can the whole fleet be drained?
  kubectl prod drain-check --all --plan --ignore-daemonsets --delete-emptydir-data

  # Somebody is draining and it hangs: which pod waits for which budget?
  kubectl prod drain-check worker-1 --watch`

// NewCommand is `kubectl prod drain-check`.
func NewCommand(flags *connection.Flags, streams genericiooptions.IOStreams) *cobra.Command {
	o := &Options{IOStreams: streams, Connection: flags}
	cmd := &cobra.Command{
		Use:   "drain-check (NODE... | -l SELECTOR | --all)",
		Short: "Say what a drain would do, before anyone does it",
		Long: `Say what a drain would do, before anyone does it.

drain-check reads the cluster once and changes nothing. It holds every pod of
the nodes against kubectl drain's filters and the eviction API's rules, counts
budgets over all pods together, places the replacements with the scheduler's
own plugins, and tells what stops the drain, what breaks, and what to type.

The flags of kubectl drain mean what they mean there.

Exit codes: 0, safe; 1, it would block or break something; 2, cannot tell.`,
		Example:           example,
		ValidArgsFunction: o.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Nodes = args
			if o.PrintRBAC {
				return role.Print(o.Out, role.Cluster("kubectl-prod-drain-check", cluster.Rules(slices.Concat(drain.Needs(), drain.FollowNeeds()))))
			}
			if err := o.Complete(); err != nil {
				return err
			}
			if o.Watch {
				return o.watch(cmd.Context())
			}
			return o.Run(cmd.Context())
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *Options) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&o.Selector, "selector", "l", "", "Drain the nodes with these labels")
	flags.BoolVar(&o.All, "all", false, "Drain all nodes")
	flags.BoolVar(&o.Plan, "plan", false, "Say in which order the nodes can be drained, and how many at once")
	flags.BoolVarP(&o.Watch, "watch", "w", false, "Follow a drain that runs: which pod waits for which budget, since when, and what would release it")
	flags.StringVar(&o.SchedulerConfig, "scheduler-config", "", "The scheduler's KubeSchedulerConfiguration file; the default profile without it")
	flags.BoolVar(&o.Drain.Force, "force", false, "As of kubectl drain: evict pods without a controller too")
	flags.BoolVar(&o.Drain.IgnoreDaemonSets, "ignore-daemonsets", false, "As of kubectl drain: leave the pods of DaemonSets")
	flags.BoolVar(&o.Drain.DeleteEmptyDirData, "delete-emptydir-data", false, "As of kubectl drain: evict pods with emptyDir volumes too")
	flags.BoolVar(&o.Drain.DisableEviction, "disable-eviction", false, "As of kubectl drain: delete pods past their budgets")
	flags.IntVar(&o.Drain.GracePeriod, "grace-period", -1, "As of kubectl drain: seconds for each pod to end; negative takes the pod's own")
	flags.StringVar(&o.Drain.PodSelector, "pod-selector", "", "As of kubectl drain: only pods with these labels")
	flags.DurationVar(&o.Drain.Timeout, "timeout", 0, "As of kubectl drain: give up after this long; 0 never does")
	flags.IntVar(&o.Drain.SkipWaitForDelete, "skip-wait-for-delete-timeout", 0, "As of kubectl drain: do not wait for pods that have been ending for more seconds than this")
	role.AddFlag(cmd, &o.PrintRBAC, "drain-check, --plan and --watch")
	o.Print.AddFlags(cmd, printer.DrainFormats())
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("selector", cobra.NoFileCompletions))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("pod-selector", cobra.NoFileCompletions))
}

// completeNodes offers the nodes that are not named yet.
func (o *Options) completeNodes(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if snapshot := o.Connection.Offer(cmd.Context(), cluster.Nodes); snapshot != nil {
		for _, node := range snapshot.Nodes {
			if !slices.Contains(args, node.Name) {
				names = append(names, node.Name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// Complete resolves the flags, without a word to the cluster.
func (o *Options) Complete() error {
	if err := o.Print.Complete(o.IOStreams); err != nil {
		return err
	}
	ways := 0
	for _, chosen := range []bool{len(o.Nodes) > 0, o.Selector != "", o.All} {
		if chosen {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("name the nodes, or choose them with -l SELECTOR or --all, and in one of these ways (kubectl get nodes lists them)")
	}
	if o.Watch && (o.Plan || o.Print.OutputFile != "") {
		return errors.New("--watch goes with neither --plan nor --output-file")
	}
	if o.Drain.Timeout < 0 {
		return fmt.Errorf("--timeout must not be negative, and is %s", o.Drain.Timeout)
	}
	for i, name := range o.Nodes {
		o.Nodes[i] = strings.TrimPrefix(strings.TrimPrefix(name, "nodes/"), "node/")
	}
	var err error
	if o.selector, err = connection.Selector("-l", o.Selector); err != nil {
		return err
	}
	if o.Drain.Selects, err = connection.Selector("--pod-selector", o.Drain.PodSelector); err != nil {
		return err
	}
	if o.SchedulerConfig != "" {
		if o.config, err = os.ReadFile(o.SchedulerConfig); err != nil {
			return fmt.Errorf("--scheduler-config: %w", err)
		}
	}
	return nil
}

// Run reads, judges and prints. The error carries the exit code.
func (o *Options) Run(ctx context.Context) error {
	configuration, err := drain.SchedulerConfiguration(o.config)
	if err != nil {
		return fmt.Errorf("--scheduler-config %s: %w", o.SchedulerConfig, err)
	}
	snapshot, err := o.Connection.Read(ctx, o.ErrOut, connection.ReadTimeout, cluster.Live{}, drain.Needs())
	if err != nil {
		return err
	}
	nodes, err := o.choose(snapshot)
	if err != nil {
		return err
	}
	question := drain.Question{Options: o.Drain, Nodes: nodes, NodeSelector: o.Selector, Scheduler: configuration}
	judge := drain.Check
	if o.Plan {
		judge = drain.Plan
	}
	connection.MakeRoom()
	check, err := judge(ctx, snapshot, question)
	if err != nil {
		return err
	}
	if err := o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().DrainCheck(w, check) }); err != nil {
		return err
	}
	if o.All && !o.Plan && len(nodes) > 1 {
		fmt.Fprintln(o.ErrOut, "hint: this is the drain of all nodes at once, which leaves no pod a place; --all --plan finds the order in which they can be drained")
	}
	return outcome(ctx, check)
}

func outcome(ctx context.Context, check *report.DrainCheck) error {
	switch {
	case ctx.Err() != nil:
		return exit.With(exit.Interrupted, "interrupted: the answer is incomplete")
	case check.Verdict == report.VerdictSafe:
		return nil
	case check.Verdict == report.VerdictUnknown:
		return exit.With(exit.Failed, "")
	default:
		return exit.With(exit.Found, "")
	}
}

// choose finds the nodes that were asked for, in the order of kubectl drain: as
// they were named, else by name.
func (o *Options) choose(s *cluster.Snapshot) ([]string, error) {
	if !s.WasRead(cluster.Nodes) {
		c := s.Coverage(cluster.Nodes)
		return nil, fmt.Errorf("cannot read nodes: %s", c.Reason)
	}
	var names []string
	for _, name := range o.Nodes {
		if s.Node(name) == nil {
			return nil, fmt.Errorf("node %q does not exist in context %q (kubectl get nodes lists them)", name, s.Origin.Context)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(o.Nodes) > 0 {
		return names, nil
	}
	for _, node := range s.Nodes {
		if o.selector.Matches(labels.Set(node.Labels)) {
			names = append(names, node.Name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 && o.Selector != "" {
		return nil, fmt.Errorf("no node has the labels %q (kubectl get nodes --show-labels lists them)", o.Selector)
	}
	if len(names) == 0 {
		return nil, errors.New("the cluster has no node")
	}
	return names, nil
}
