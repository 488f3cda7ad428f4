// Package harden is `kubectl prod harden`.
package harden

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/role"
	"github.com/kubectl-prod/kubectl-prod/pkg/config"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Options are what `kubectl prod harden` was asked.
type Options struct {
	genericiooptions.IOStreams
	Connection *connection.Flags

	AllNamespaces bool
	Selector      string
	Fix           []string
	ConfigFile    string

	DryRun        string
	Yes           bool
	Timeout, Soak time.Duration
	Print         output.Options
	PrintRBAC     bool

	// Of manifests, and for Git.
	Filenames []string
	Kustomize string
	Recursive bool
	InPlace   bool
	Out       string
	forGit    bool // -o kustomize

	practices []practice.Practice
	scope     practice.Scope
	named     func(cluster.Ref) bool // nil without arguments
}

const example = `  # Go through what can be mended, one change after the other
  kubectl prod harden

  # One workload; what would be written, with its diff
  kubectl prod harden deployment/cart -n shop --dry-run=server -o wide

  # Some practices, without a question (a script's run)
  kubectl prod harden -n shop --fix memory-limit-unset,pdb-missing --yes

  # Manifests: the diff; the files themselves
  kubectl prod harden -f deploy/
  kubectl prod harden -f deploy/ --in-place

  # For Git: a directory with a kustomize patch for each object
  kubectl prod harden -n shop --out patches/
  kubectl prod harden -k overlays/prod --out patches/

  # Take the last change back; all of them
  kubectl prod harden undo --last
  kubectl prod harden undo --all`

// NewCommand is `kubectl prod harden`.
func NewCommand(flags *connection.Flags, streams genericiooptions.IOStreams) *cobra.Command {
	o := &Options{IOStreams: streams, Connection: flags}
	cmd := &cobra.Command{
		Use:   "harden [TYPE/NAME ...]",
		Short: "Mend what is not production-grade, one reviewed change at a time",
		Long: `Mend what is not production-grade, one reviewed change at a time.

harden finds what doctor finds and, for each finding that it knows a safe remedy
for, shows what it would write and asks. Each change is tried on the API server
first, its pods too; it is noted in a journal, written, and watched; what goes
wrong is taken back at once. "harden undo" takes back any change later.

With -f or -k harden mends manifests instead: it writes what a person would, line
by line, and prints the diff or, with --in-place, the files. With --out it writes
nothing but a directory of kustomize patches.

What something else owns (Argo CD, Flux, Helm, an operator) is not written: the
patch for Git is shown instead. kube-system and the platform's other namespaces
are left alone unless they are named. Off a terminal, without --yes, nothing is
written and the plan is printed.

Exit codes: 0, nothing is left to change; 1, changes were left unapplied; 2,
harden could not do its job.`,
		Example: example,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.Complete(args); err != nil {
				return err
			}
			if o.PrintRBAC {
				return role.Print(o.IOStreams.Out, role.Cluster("kubectl-prod-harden", harden.Rules(o.practices, o.scope)))
			}
			return o.Run(cmd.Context())
		},
	}
	o.addFlags(cmd)
	cmd.AddCommand(newUndoCommand(flags, streams), newHistoryCommand(streams))
	return cmd
}

func (o *Options) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVarP(&o.AllNamespaces, "all-namespaces", "A", false, "Look at all namespaces (the default without -n and TYPE/NAME)")
	flags.StringVarP(&o.Selector, "selector", "l", "", "Only objects with these labels; of a workload, its own or its pods'")
	flags.StringSliceVar(&o.Fix, "fix", nil, "Mend only the findings of these practices or chapters")
	flags.StringVar(&o.ConfigFile, "config", "", "File with severities and ignores ("+config.DefaultFile+" in the working directory, where it is there)")
	flags.StringVar(&o.DryRun, "dry-run", "none", "Write nothing and print the plan: client asks for the objects alone, server has the API server try each change")
	flags.StringSliceVarP(&o.Filenames, "filename", "f", nil, "Mend these manifests: files, directories, - for standard input")
	flags.StringVarP(&o.Kustomize, "kustomize", "k", "", "Mend what kustomize builds of this directory, by patches")
	flags.BoolVarP(&o.Recursive, "recursive", "R", false, "Descend into the directories of -f")
	flags.BoolVar(&o.InPlace, "in-place", false, "Write the files of -f instead of their diff")
	flags.StringVar(&o.Out, "out", "", "Write patches for Git into this directory, and nothing else")
	flags.BoolVarP(&o.Yes, "yes", "y", false, "Consent to every change")
	flags.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "Roll a change back when its rollout has not ended after this long")
	flags.DurationVar(&o.Soak, "soak", 5*time.Second, "How long the pods have to stay well after a rollout")
	role.AddFlag(cmd, &o.PrintRBAC, "hardening by the selected practices, and taking it back")
	o.Print.AddFlags(cmd, append(printer.ListFormats(), kustomizeFormat))
	o.completions(cmd)
}

// Complete resolves the flags; only arguments take a word with the cluster.
func (o *Options) Complete(args []string) error {
	if o.forGit = o.Print.Output == kustomizeFormat; o.forGit {
		o.Print.Output = ""
	}
	if err := o.Print.Complete(o.IOStreams); err != nil {
		return err
	}
	namespace := *o.Connection.Namespace
	switch {
	case o.AllNamespaces && namespace != "":
		return errors.New("-A and -n exclude each other")
	case o.Timeout <= 0 || o.Soak < 0:
		return errors.New("--timeout must be more than nothing, and --soak not less")
	case o.DryRun != "none" && o.DryRun != "client" && o.DryRun != "server":
		return fmt.Errorf("--dry-run takes client, server or none, and got %q", o.DryRun)
	case o.DryRun != "none" && o.Yes:
		return errors.New("--dry-run and --yes exclude each other")
	}
	selector, err := connection.Selector("-l", o.Selector)
	if err != nil {
		return err
	}
	settings, err := config.Find(o.ConfigFile, catalogue.All())
	if err != nil {
		return err
	}
	o.practices, err = chosen(settings, o.Fix, o.ofManifests())
	if err != nil {
		return err
	}
	o.scope = practice.Scope{Namespace: namespace, Selector: selector, Ignores: settings.Ignores}
	if o.ofManifests() {
		return o.completeManifests(args)
	}
	if o.InPlace {
		return errors.New("--in-place goes with -f")
	}
	if len(args) > 0 {
		return o.name(args)
	}
	return nil
}

// interactive reports whether there is somebody to ask.
func (o *Options) interactive() bool {
	return isTerminal(o.In) && isTerminal(o.ErrOut)
}

func isTerminal(stream any) bool {
	file, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}

// Run plans, asks, writes and tells. The error carries the exit code.
func (o *Options) Run(ctx context.Context) error {
	switch {
	case o.ofManifests():
		return o.mendManifests(ctx)
	case o.Out != "", o.forGit:
		return o.writeForGit(ctx)
	}
	api, err := connect(o.Connection)
	if err != nil {
		return err
	}
	face := newFace(o.IOStreams, o.Print.Color)
	run := &harden.Run{API: api, Face: face, Yes: o.Yes, Timeout: o.Timeout, Soak: o.Soak}
	writes := o.DryRun == "none" && (o.Yes || o.interactive())
	if writes {
		// Who reads the log may go (| head, a closed terminal): that must not end
		// the process between a write and its journal.
		signal.Ignore(syscall.SIGPIPE)
		if run.Journal, err = journal.Open(); err != nil {
			return err
		}
		if err := o.recover(ctx, run, face); err != nil {
			return err
		}
	}
	plan, err := o.plan(ctx)
	if err != nil {
		return err
	}
	if !writes {
		run.DryRun = o.DryRun
		return o.try(ctx, run, plan)
	}
	result, err := run.Apply(ctx, plan)
	face.clear()
	if printErr := o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().HardenSummary(w, result) }); printErr != nil {
		return errors.Join(printErr, err)
	}
	return outcome(ctx, result, err)
}

// plan reads the cluster once and plans over that.
func (o *Options) plan(ctx context.Context) (*harden.Plan, error) {
	_, plan, err := o.planned(ctx)
	return plan, err
}

// planned is the plan, and what it follows from.
func (o *Options) planned(ctx context.Context) (*cluster.Snapshot, *harden.Plan, error) {
	live := cluster.Live{Namespace: o.scope.Namespace}
	if len(o.Fix) > 0 && slices.ContainsFunc(o.practices, func(p practice.Practice) bool { return p.Remedy.Everywhere }) {
		live.Namespace = "" // what is judged stays narrowed; without --fix, who may read one namespace alone is served too
	}
	snapshot, err := o.Connection.Read(ctx, o.ErrOut, connection.ReadTimeout, live, harden.Needs(o.practices, o.scope))
	if err != nil {
		return nil, nil, err
	}
	return snapshot, harden.Make(snapshot, o.practices, o.scope, o.keep(snapshot)), ctx.Err()
}

// try prints the plan, and writes nothing.
func (o *Options) try(ctx context.Context, run *harden.Run, plan *harden.Plan) error {
	result, err := run.Try(ctx, plan)
	if err != nil {
		return err
	}
	if err := o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().Hardening(w, result) }); err != nil {
		return err
	}
	if o.DryRun == "none" && len(result.Changes) > 0 {
		fmt.Fprintln(o.ErrOut, "nothing was written: there is no terminal to ask at (--yes consents to every change)")
	}
	return outcome(ctx, result, nil)
}

// outcome is the exit code, as an error.
func outcome(ctx context.Context, h *report.Hardening, err error) error {
	switch {
	case ctx.Err() != nil:
		return exit.With(exit.Interrupted, "interrupted")
	case err != nil:
		return err
	case h.Count(report.Applied) < len(h.Changes):
		return exit.With(exit.Found, "")
	}
	return nil
}

func connect(flags *connection.Flags) (harden.API, error) {
	restConfig, err := flags.Connect()
	if err != nil {
		return nil, err
	}
	mapper, err := flags.ToRESTMapper()
	if err != nil {
		return nil, err
	}
	return harden.Connect(restConfig, flags.ContextName(), mapper)
}
