// Package doctor is `kubectl prod doctor`.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/config"
	"github.com/kubectl-prod/kubectl-prod/pkg/incident"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Options are what `kubectl prod doctor` was asked.
type Options struct {
	genericiooptions.IOStreams
	Connection *connection.Flags

	Filenames []string
	Kustomize string
	Recursive bool

	Now           bool
	Watch         bool
	AllNamespaces bool
	Selector      string
	Check, Skip   []string
	Severity      string
	UpgradeTo     string

	ConfigFile    string
	Baseline      string
	WriteBaseline string
	ShowIgnored   bool
	PrintRBAC     bool

	Print           output.Options
	FailOn          string
	RequireComplete bool
	Timeout         time.Duration

	practices []practice.Practice
	scope     practice.Scope
	before    *report.Diagnosis // of Baseline
}

const example = `  # What is wrong with this cluster?
  kubectl prod doctor

  # Something is on fire: what fails now, and what changed
  kubectl prod doctor --now --watch

  # One namespace, every finding with its field
  kubectl prod doctor -n shop -o wide

  # Manifests, before they reach a cluster; any warning fails the build
  helm template ./chart | kubectl prod doctor -f - --fail-on warning

  # Can this cluster be upgraded?
  kubectl prod doctor --upgrade-to v1.38

  # Some practices only, for a script
  kubectl prod doctor --check security,pdb-missing -o json`

// NewCommand is `kubectl prod doctor`.
func NewCommand(flags *connection.Flags, streams genericiooptions.IOStreams) *cobra.Command {
	o := &Options{IOStreams: streams, Connection: flags}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what is not production-grade, and what is on fire",
		Long: `Find what is not production-grade, and what is on fire.

doctor reads the cluster of the current context once (all namespaces, unless -n
narrows it) or manifests (-f, -k), judges them by the practices of
"kubectl prod doctor list", and changes nothing. What it could not read it
tells as not checked; that never counts as in order.

Exit codes: 0, no finding at or above --fail-on; 1, some; 2, doctor could not
do its job (or not all of it, with --require-complete).`,
		Example: example,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Complete(); err != nil {
				return err
			}
			if o.PrintRBAC {
				return o.Print.Write(o.IOStreams, o.printRBAC)
			}
			if o.Watch {
				return o.watch(cmd.Context())
			}
			return o.Run(cmd.Context())
		},
	}
	o.addFlags(cmd)
	cmd.AddCommand(newExplainCommand(streams), newListCommand(streams), newDiffCommand(streams), newTestCommand(streams),
		newSystemsCommand(flags, streams))
	return cmd
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("doctor takes no argument, and got %q (to narrow it: -n NAMESPACE, -l SELECTOR, --check ID)", args[0])
	}
	return nil
}

func (o *Options) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVarP(&o.Filenames, "filename", "f", nil, "Judge manifests instead of a cluster: files, directories, URLs, or - for standard input")
	flags.StringVarP(&o.Kustomize, "kustomize", "k", "", "Judge the manifests that kustomize builds from a directory")
	flags.BoolVarP(&o.Recursive, "recursive", "R", false, "Descend into the directories of -f")
	flags.BoolVar(&o.Now, "now", false, "Only what is failing at this moment, with the last hour's changes and warnings")
	flags.BoolVarP(&o.Watch, "watch", "w", false, "Look again every few seconds, until interrupted; goes with --now")
	flags.BoolVarP(&o.AllNamespaces, "all-namespaces", "A", false, "Judge all namespaces (the default without -n)")
	flags.StringVarP(&o.Selector, "selector", "l", "", "Judge only objects with these labels; of a workload, its own or its pods'")
	flags.StringSliceVar(&o.Check, "check", nil, "Judge only these practices or chapters")
	flags.StringSliceVar(&o.Skip, "skip", nil, "Leave out these practices or chapters")
	flags.StringVar(&o.UpgradeTo, "upgrade-to", "", "Say what stands in the way of an upgrade to this release, v1.38, and unless --check names more, nothing else")
	flags.StringVar(&o.Severity, "severity", "", "Show only findings this bad or worse: critical, warning or info")
	flags.StringVar(&o.ConfigFile, "config", "", "File with severities and ignores ("+config.DefaultFile+" in the working directory, where it is there)")
	flags.StringVar(&o.Baseline, "baseline", "", "Show and fail on only what is new since the diagnosis in this file")
	flags.StringVar(&o.WriteBaseline, "write-baseline", "", "Write the diagnosis to this file, for --baseline")
	flags.BoolVar(&o.ShowIgnored, "show-ignored", false, "List the findings that an annotation or the configuration file sets aside")
	flags.BoolVar(&o.PrintRBAC, "print-rbac", false, "Print the least ClusterRole for the selected practices, and do nothing else")
	flags.StringVar(&o.FailOn, "fail-on", string(report.Critical), "Exit with 1 on findings this bad or worse: critical, warning, info or none")
	flags.BoolVar(&o.RequireComplete, "require-complete", false, "Exit with 2 when something could not be read")
	flags.DurationVar(&o.Timeout, "timeout", connection.ReadTimeout, "Stop reading after this long and report what was read by then")
	o.Print.AddFlags(cmd, printer.Formats())
	o.completions(cmd)
}

// Complete resolves the flags, without a word to the cluster.
func (o *Options) Complete() error {
	if err := o.Print.Complete(o.IOStreams); err != nil {
		return err
	}
	if o.AllNamespaces && *o.Connection.Namespace != "" {
		return errors.New("-A and -n exclude each other")
	}
	if len(o.Filenames) > 0 && o.Kustomize != "" {
		return errors.New("-f and -k exclude each other")
	}
	if o.Now && len(o.manifests()) > 0 {
		return errors.New("--now needs a cluster: manifests do not fail")
	}
	if o.Watch && (!o.Now || o.Print.OutputFile != "" || o.WriteBaseline != "") {
		return errors.New("--watch goes with --now, and not with --output-file or --write-baseline")
	}
	if o.Recursive && len(o.Filenames) == 0 {
		return errors.New("-R goes with -f")
	}
	if o.Timeout <= 0 {
		return fmt.Errorf("--timeout must be more than nothing, and is %s", o.Timeout)
	}
	if err := oneOf("--severity", o.Severity, "", "critical", "warning", "info"); err != nil {
		return err
	}
	if err := oneOf("--fail-on", o.FailOn, "critical", "warning", "info", "none"); err != nil {
		return err
	}
	selector, err := connection.Selector("-l", o.Selector)
	if err != nil {
		return err
	}
	settings, err := config.Find(o.ConfigFile, catalogue.All())
	if err != nil {
		return err
	}
	if err := o.upgradeTo(settings); err != nil {
		return err
	}
	o.scope = practice.Scope{Namespace: *o.Connection.Namespace, Selector: selector, Ignores: settings.Ignores}
	o.practices, err = settings.Choose(o.catalogue(settings.Custom), o.Check, o.Skip)
	if err != nil {
		return err
	}
	if o.Baseline != "" {
		o.before, err = loadDiagnosis(o.Baseline)
	}
	return err
}

// upgradeTo selects the practice about upgrades, and names it the release.
func (o *Options) upgradeTo(settings *config.Config) error {
	if o.UpgradeTo == "" {
		return nil
	}
	release, err := version.ParseGeneric(o.UpgradeTo)
	if err != nil || release.Major() != 1 || release.Minor() == 0 {
		return fmt.Errorf("--upgrade-to takes a release of Kubernetes, v1.38, and got %q", o.UpgradeTo)
	}
	if o.Now {
		return errors.New("--upgrade-to and --now exclude each other")
	}
	const id = "upgrade-blocked"
	if !slices.Contains(o.Check, id) {
		o.Check = append(o.Check, id)
	}
	if settings.Thresholds == nil {
		settings.Thresholds = map[string]map[string]float64{}
	}
	settings.Thresholds[id] = map[string]float64{"minor": float64(release.Minor())}
	return nil
}

// catalogue is what --check and --skip choose from.
func (o *Options) catalogue(custom []practice.Practice) []practice.Practice {
	all := slices.Concat(catalogue.All(), custom)
	if o.Now {
		all = slices.DeleteFunc(all, func(p practice.Practice) bool { return !p.Now })
	}
	return all
}

func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	shown := slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" })
	return fmt.Errorf("%s takes %s, and got %q", flag, strings.Join(shown, ", "), value)
}

// Run reads, judges and prints. The error carries the exit code.
func (o *Options) Run(ctx context.Context) error {
	snapshot, unread, err := o.read(ctx)
	if err != nil {
		return err
	}
	diagnosis := practice.Evaluate(snapshot, o.practices, o.scope)
	diagnosis.Origin.Manifests = o.manifests()
	if o.Now {
		incident.Tell(snapshot, diagnosis)
	}
	if o.WriteBaseline != "" {
		if err := writeDiagnosis(o.WriteBaseline, diagnosis); err != nil {
			return err
		}
	}
	if o.before != nil {
		diagnosis.Since(o.before)
	}
	failed := o.FailOn != "none" && diagnosis.Finds(report.Severity(o.FailOn))
	diagnosis.Keep(report.Severity(o.Severity))
	if err := o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.printer().Diagnosis(w, diagnosis) }); err != nil {
		return err
	}
	for _, err := range unread {
		fmt.Fprintf(o.ErrOut, "error: %s\n", printer.EscapeLines(err.Error()))
	}
	return o.outcome(ctx, diagnosis, failed, len(unread))
}

// printer prints with what only this command knows.
func (o *Options) printer() printer.Options {
	p := o.Print.Printer()
	p.Practices = practice.Describe(o.practices).Items
	p.Version = o.Connection.Version
	p.ShowIgnored = o.ShowIgnored
	p.Now = o.Now
	p.Directory, _ = os.Getwd() // without one, paths stay as they were given
	return p
}

func (o *Options) manifests() []string {
	if o.Kustomize != "" {
		return []string{o.Kustomize}
	}
	return o.Filenames
}

// read fills the Snapshot; unread are manifests that could not be read.
func (o *Options) read(ctx context.Context) (snapshot *cluster.Snapshot, unread []error, err error) {
	if len(o.manifests()) > 0 {
		namespace := *o.Connection.Namespace
		if namespace == "" {
			namespace = "default"
		}
		manifests := cluster.Manifests{
			Filenames: o.Filenames, Kustomize: o.Kustomize, Recursive: o.Recursive,
			Namespace: namespace, Stdin: o.In, Time: time.Now(),
		}
		snapshot, unread = manifests.Load(ctx)
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		// With manifests, -n names where they go; it narrows nothing.
		o.scope.Namespace = ""
		if snapshot.Origin.Manifests == 0 {
			unread = append(unread, fmt.Errorf("no object in %s", strings.Join(o.manifests(), ", ")))
			return nil, nil, errors.Join(unread...)
		}
		return snapshot, unread, nil
	}
	live := cluster.Live{Namespace: o.scope.Namespace, Changes: o.Now}
	snapshot, err = o.Connection.Read(ctx, o.ErrOut, o.Timeout, live, o.needs())
	return snapshot, nil, err
}

// needs are the kinds to read.
func (o *Options) needs() []cluster.Kind {
	needs := o.scope.Needs(o.practices)
	if o.Now {
		needs = append(needs, incident.Needs()...)
	}
	return needs
}

// outcome is the exit code, as an error.
func (o *Options) outcome(ctx context.Context, d *report.Diagnosis, failed bool, unread int) error {
	switch {
	case ctx.Err() != nil:
		return exit.With(exit.Interrupted, "interrupted: the report above covers what was read by then")
	case unread > 0:
		return exit.With(exit.Failed, "")
	case o.RequireComplete && incomplete(d):
		return exit.With(exit.Failed, "not everything could be checked, and --require-complete was asked for")
	case failed:
		return exit.With(exit.Found, "")
	default:
		return nil
	}
}

// incomplete reports whether something could not be read that is there to be
// read: an API that a cluster lacks, or a scope that was asked for, is no gap.
func incomplete(d *report.Diagnosis) bool {
	return slices.ContainsFunc(d.NotChecked, func(n report.NotChecked) bool {
		return n.State == string(cluster.Forbidden) || n.State == string(cluster.Failed)
	})
}
