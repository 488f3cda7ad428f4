package harden

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/gitops"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/manifests"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// kustomizeFormat prints what --out would write, on one stream.
const kustomizeFormat = "kustomize"

// built stands for what does not come from files that could be edited: what
// kustomize builds, and standard input.
const (
	built = "kustomize build"
	stdin = "-"
)

func (o *Options) ofManifests() bool { return len(o.Filenames) > 0 || o.Kustomize != "" }

func (o *Options) completeManifests(args []string) error {
	switch {
	case len(o.Filenames) > 0 && o.Kustomize != "":
		return errors.New("-f and -k exclude each other")
	case o.Yes || o.DryRun != "none":
		return errors.New("--yes and --dry-run are for clusters: of manifests the diff is printed, and --in-place writes it")
	case o.InPlace && (o.Out != "" || o.Kustomize != "" || slices.Contains(o.Filenames, stdin)):
		return errors.New("--in-place writes the files of -f: of -k, and with --out, patches are written")
	}
	if len(args) > 0 {
		o.named = func(ref cluster.Ref) bool {
			kind := strings.ToLower(ref.Kind)
			return slices.ContainsFunc(args, func(arg string) bool {
				named, name, _ := strings.Cut(strings.ToLower(arg), "/")
				return name == strings.ToLower(ref.Name) && (named == kind || named == kind+"s" || named+"/"+name == ref.String())
			})
		}
	}
	return nil
}

// mendManifests mends the manifests of -f or -k. What Helm rendered, and what
// kustomize builds, is mended by patches: their files are not the source.
func (o *Options) mendManifests(ctx context.Context) error {
	run := manifests.Run{Practices: o.practices, Scope: o.scope, Keep: o.named, Manifests: cluster.Manifests{
		Filenames: o.Filenames, Recursive: o.Recursive, Namespace: o.scope.Namespace, Stdin: o.In, Time: time.Now(),
	}}
	run.Scope.Namespace = ""
	if run.Manifests.Namespace == "" {
		run.Manifests.Namespace = metav1.NamespaceDefault
	}
	asPatches := o.Kustomize != "" || o.Out != "" || o.forGit
	if err := o.takeBuild(&run); err != nil {
		return err
	}
	result, err := run.Mend(ctx)
	if err != nil {
		return err
	}
	asPatches = asPatches || slices.ContainsFunc(result.Files, renderedByHelm)
	switch {
	case asPatches:
		if err = o.writePatches(result.Changes(), helmRelease(result.Snapshot)); err == nil && o.Out != "" && o.Print.Output != "" {
			err = o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.printMended(w, result) })
		}
	case o.InPlace:
		for _, file := range result.Files {
			if err = errors.Join(err, file.Write()); err == nil {
				fmt.Fprintf(o.ErrOut, "wrote %s\n", file.Path)
			}
		}
	default:
		err = o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.printMended(w, result) })
	}
	if err != nil {
		return err
	}
	o.tell(result)
	if len(result.Mended) > 0 && !o.InPlace && o.Out == "" {
		return exit.With(exit.Found, "")
	}
	return nil
}

// takeBuild has kustomize build what -k names, and refuses what is no file.
func (o *Options) takeBuild(run *manifests.Run) error {
	for _, name := range run.Manifests.Filenames {
		if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
			return fmt.Errorf("%s: harden mends files: fetch it first", name)
		}
	}
	if o.Kustomize == "" {
		return nil
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), o.Kustomize)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Kustomize, err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		return fmt.Errorf("%s: %w", o.Kustomize, err)
	}
	run.Manifests.Filenames, run.Manifests.Contents = []string{built}, map[string][]byte{built: text}
	return nil
}

// renderedByHelm knows what helm template prints by the comments that it puts
// over each object.
func renderedByHelm(file manifests.File) bool {
	text := string(file.Before)
	at := strings.Index(text, "# Source: ")
	return at >= 0 && strings.Contains(strings.SplitN(text[at:], "\n", 2)[0], "/templates/")
}

// helmRelease tells the release of an object by Helm's own annotation.
func helmRelease(s *cluster.Snapshot) gitops.Release {
	return func(ref cluster.Ref) string { return s.AnnotationsOf(ref)["meta.helm.sh/release-name"] }
}

// writePatches writes patches for Git into --out, or prints them.
func (o *Options) writePatches(changes []change.Change, release gitops.Release) error {
	if len(changes) == 0 {
		return nil
	}
	files, err := gitops.Of(changes, release)
	if err != nil {
		return err
	}
	if o.Out == "" {
		return o.Print.Write(o.IOStreams, func(w io.Writer) error {
			_, err := w.Write(files.Text())
			return err
		})
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(o.Out, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a directory of a repository
			return err
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		if err := os.WriteFile(path, files[name], mode); err != nil {
			return err
		}
		fmt.Fprintf(o.ErrOut, "wrote %s\n", path)
	}
	return nil
}

// printMended prints the diff or, in a format for programs, the report.
func (o *Options) printMended(w io.Writer, result *manifests.Result) error {
	if o.Print.Output == "" || o.Print.Output == "wide" {
		for _, file := range result.Files {
			if err := o.Print.Printer().Diff(w, file.Diff()); err != nil {
				return err
			}
		}
		return nil
	}
	return o.Print.Printer().Hardening(w, o.reportOf(result))
}

func (o *Options) reportOf(result *manifests.Result) *report.Hardening {
	h := &report.Hardening{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "Hardening"},
		Time:     metav1.NewTime(result.Snapshot.Time), Origin: report.Origin{Objects: result.Snapshot.Origin.Manifests}, Changes: []report.HardenChange{},
	}
	state := report.Proposed
	if o.InPlace {
		state = report.Applied
	}
	for i, mended := range result.Mended {
		c := report.HardenChange{Number: i + 1, Practice: mended.Practice, Object: objectOf(mended.Object), Why: mended.Why, Risk: mended.Risk, State: state, Writes: []report.HardenWrite{}, Findings: []string{}}
		for _, p := range o.practices {
			if p.ID == mended.Practice {
				c.Title, c.Severity, c.Reason, c.Does = p.Title, p.Severity, p.Reason, p.Remedy.Does
			}
		}
		for _, made := range mended.Changes {
			c.Writes = append(c.Writes, report.HardenWrite{Object: objectOf(made.Object), Create: made.Create != nil, Patch: change.Text(made)})
		}
		h.Changes = append(h.Changes, c)
	}
	for _, refused := range result.Refused {
		h.Unsafe = append(h.Unsafe, report.HardenRefusal{Practice: refused.Practice, Object: objectOf(refused.Object), Reason: refused.Reason})
	}
	return h
}

func objectOf(ref cluster.Ref) report.Object {
	return report.Object{APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
}

// tell says what was mended and what was not, and why, beside the data.
func (o *Options) tell(result *manifests.Result) {
	var refused []harden.Refusal
	for _, r := range result.Refused {
		refused = append(refused, harden.Refusal(r))
	}
	fmt.Fprintf(o.ErrOut, "mended: %s in %s\n", counted(len(result.Mended), "finding"), counted(len(result.Files), "file"))
	o.tellRefused(refused)
}

// fewRefusals are told one by one; of more, how many of each practice.
const fewRefusals = 12

func (o *Options) tellRefused(refused []harden.Refusal) {
	if len(refused) == 0 {
		return
	}
	fmt.Fprintf(o.ErrOut, "not safe to mend here: %d\n", len(refused))
	if len(refused) > fewRefusals && o.Print.Output != "wide" {
		counts := map[string]int{}
		for _, r := range refused {
			counts[r.Practice]++
		}
		for _, id := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(o.ErrOut, "  %d × %s\n", counts[id], id)
		}
		fmt.Fprintln(o.ErrOut, "why: the same with -o wide, or --fix PRACTICE")
		return
	}
	for _, r := range refused {
		fmt.Fprintf(o.ErrOut, "  %s\n", printer.Escape(fmt.Sprintf("%s %s: %s", r.Practice, r.Object, r.Reason)))
	}
}

func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// writeForGit writes what would be written to the cluster as patches.
func (o *Options) writeForGit(ctx context.Context) error {
	snapshot, plan, err := o.planned(ctx)
	if err != nil {
		return err
	}
	var changes []change.Change
	for _, item := range plan.Items {
		for _, c := range item.Proposal.Changes {
			changes = manifests.Merge(changes, c)
		}
	}
	if err := o.writePatches(changes, helmRelease(snapshot)); err != nil {
		return err
	}
	if o.Out != "" && o.Print.Output != "" {
		result := plan.Report()
		if err := o.Print.Write(o.IOStreams, func(w io.Writer) error { return o.Print.Printer().Hardening(w, result) }); err != nil {
			return err
		}
	}
	fmt.Fprintf(o.ErrOut, "patches for %s, to %s\n", counted(countFindings(plan), "finding"), counted(len(changes), "object"))
	o.tellRefused(plan.Unsafe)
	if len(changes) > 0 && o.Out == "" {
		return exit.With(exit.Found, "")
	}
	return nil
}

func countFindings(plan *harden.Plan) int {
	n := 0
	for _, item := range plan.Items {
		n += len(item.Findings)
	}
	return n
}
