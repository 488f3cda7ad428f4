package practice

import (
	"cmp"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Scope narrows what a run judges.
type Scope struct {
	// Namespace, where set, leaves out everything outside it.
	Namespace string
	// Selector, where set, leaves out objects whose labels, or whose pods'
	// labels, do not match.
	Selector labels.Selector
	// Ignores set findings aside; annotations on objects and namespaces are
	// heeded as well.
	Ignores []Ignore
}

// Needs are the kinds that judging the practices takes.
func (scope Scope) Needs(practices []Practice) []cluster.Kind {
	var kinds []cluster.Kind
	if scope.Namespace != "" {
		kinds = append(kinds, cluster.Namespaces) // to tell an empty namespace from none
	}
	for _, p := range practices {
		if scope.Namespace == "" || !p.ClusterScope {
			kinds = append(kinds, p.kinds()...)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// kinds are all that the practice reads.
func (p Practice) kinds() []cluster.Kind {
	return slices.Concat(p.Needs, p.Judges, p.Uses)
}

// Evaluate judges every practice over a Snapshot and adds up the scores.
func Evaluate(s *cluster.Snapshot, practices []Practice, scope Scope) *report.Diagnosis {
	d := &report.Diagnosis{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "Diagnosis"},
		Time:     metav1.NewTime(s.Time),
		Origin: report.Origin{
			Context: s.Origin.Context, Server: s.Origin.Server, Version: s.Origin.Version,
			Namespace: scope.Namespace, Objects: s.Origin.Manifests, Nodes: len(s.Nodes),
		},
		Findings: []report.Finding{}, NotChecked: []report.NotChecked{},
	}
	if scope.Selector != nil {
		d.Origin.Selector = scope.Selector.String()
	}
	inScope := scope.over(s)
	for _, w := range s.Workloads() {
		if inScope(w.Owner) {
			d.Origin.Workloads++
		}
	}
	gaps := &gaps{}
	ignores := &ignores{snapshot: s, scope: scope}
	verdicts := scope.verdicts(s, practices, inScope, func(p Practice) bool { return gaps.note(s, p, scope) })
	for i, p := range practices {
		result := report.PracticeResult{ID: p.ID, Chapter: string(p.Chapter), Severity: p.Severity}
		if verdict := verdicts[i]; verdict != nil {
			if verdict.NotChecked != "" {
				gaps.withdraw(p.ID)
				gaps.add("no verdict", "not judged", verdict.NotChecked, p.ID, false)
			} else {
				result.Checked = true
				d.Ignored = append(d.Ignored, scope.setAside(s, p, &verdict.Verdict, inScope, ignores)...)
				result.Failed = scope.failed(verdict.Findings, inScope)
				result.Judged = max(verdict.judged, result.Failed)
				for _, f := range verdict.Findings {
					d.Findings = append(d.Findings, scope.worded(s, p, f))
				}
			}
		}
		d.Practices = append(d.Practices, result)
	}
	gaps.noteUnserved(s)
	d.NotChecked = append(d.NotChecked, gaps.causes...)
	d.Warnings = ignores.warnings
	d.Score, d.Chapters = score(d)
	sortFindings(d.Findings)
	return d
}

// counted is a Verdict whose judged objects are a number: their names, of each
// practice, would take more memory than all findings.
type counted struct {
	Verdict
	judged int
}

// verdicts judges the practices that can be judged, on all cores; nil stands for
// the others.
func (scope Scope) verdicts(s *cluster.Snapshot, practices []Practice, inScope func(cluster.Ref) bool, can func(Practice) bool) []*counted {
	all := make([]*counted, len(practices))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, p := range practices {
		if can(p) {
			group.Go(func() error {
				v := p.Verdict(s)
				judged := scope.judged(v.Judged, inScope)
				v.Judged = nil
				all[i] = &counted{v, judged}
				return nil
			})
		}
	}
	_ = group.Wait()
	return all
}

// over is the scope as a question about objects. The platform's objects are in
// scope: they are told apart, not left out.
func (scope Scope) over(s *cluster.Snapshot) func(cluster.Ref) bool {
	return func(ref cluster.Ref) bool {
		if scope.Namespace != "" && ref.Namespace != scope.Namespace && ref != NamespaceRef(scope.Namespace) {
			return false
		}
		if scope.Selector == nil || scope.Selector.Empty() {
			return true
		}
		return scope.Selector.Matches(labels.Set(s.SelectableLabels(ref)))
	}
}

// isPlatform tells the platform's objects apart, unless it is the platform that
// was asked for.
func (scope Scope) isPlatform(ref cluster.Ref) bool {
	return ref.IsPlatform() && !cluster.IsPlatform(scope.Namespace)
}

// judged counts the user's objects in scope that were judged.
func (scope Scope) judged(refs []cluster.Ref, inScope func(cluster.Ref) bool) int {
	n, seen := 0, make(map[cluster.Ref]bool, len(refs))
	for _, ref := range refs {
		if !seen[ref] && !scope.isPlatform(ref) && inScope(ref) {
			n++
		}
		seen[ref] = true
	}
	return n
}

// failed counts the user's objects in scope that have a finding.
func (scope Scope) failed(findings []Finding, inScope func(cluster.Ref) bool) int {
	n, failing := 0, map[cluster.Ref]bool{}
	for _, f := range findings {
		if !failing[f.Object] && !f.Platform && !scope.isPlatform(f.Object) && inScope(f.Object) {
			n++
		}
		failing[f.Object] = true
	}
	return n
}

// setAside takes out of a verdict the findings that are out of scope, and
// returns those that are ignored.
func (scope Scope) setAside(s *cluster.Snapshot, p Practice, v *Verdict, inScope func(cluster.Ref) bool, ignores *ignores) []report.IgnoredFinding {
	var aside []report.IgnoredFinding
	v.Findings = slices.DeleteFunc(slices.Clone(v.Findings), func(f Finding) bool {
		if !inScope(f.Object) {
			return true
		}
		ignore := ignores.of(p, f)
		if ignore != nil {
			aside = append(aside, ignore.aside(scope.worded(s, p, f)))
		}
		return ignore != nil
	})
	return aside
}

// worded is a finding as the report tells it.
func (scope Scope) worded(s *cluster.Snapshot, p Practice, f Finding) report.Finding {
	position, _ := s.Position(f.Object)
	return report.Finding{
		Practice: p.ID,
		Chapter:  string(p.Chapter),
		Severity: cmp.Or(f.Severity, p.Severity),
		Object:   objectOf(f.Object),
		Path:     f.Path,
		Message:  f.Message,
		Fix:      cmp.Or(f.Fix, p.Fix),
		Harden:   hardening(s, p, f, position),
		Now:      p.Now,
		Platform: f.Platform || scope.isPlatform(f.Object),
		File:     position.File,
		Line:     position.Line,
	}
}

// sortFindings puts the worst first, and among them what fails now.
func sortFindings(all []report.Finding) {
	slices.SortStableFunc(all, func(a, b report.Finding) int {
		return cmp.Or(
			cmp.Compare(a.Severity.Rank(), b.Severity.Rank()),
			nowFirst(a, b),
			strings.Compare(a.Practice, b.Practice),
			strings.Compare(a.Object.Namespace, b.Object.Namespace),
			strings.Compare(a.Object.Kind, b.Object.Kind),
			strings.Compare(a.Object.Name, b.Object.Name),
			strings.Compare(a.Path, b.Path),
		)
	})
}

// nowFirst orders what fails now before what does not.
func nowFirst(a, b report.Finding) int {
	switch {
	case a.Now == b.Now:
		return 0
	case a.Now:
		return -1
	default:
		return 1
	}
}

// FindingOf is a Finding as it was before it was worded for a report.
func FindingOf(f report.Finding) Finding {
	ref := cluster.Ref{APIVersion: f.Object.APIVersion, Kind: f.Object.Kind, Namespace: f.Object.Namespace, Name: f.Object.Name}
	return Finding{Object: ref, Path: f.Path, Message: f.Message, Severity: f.Severity, Fix: f.Fix, Platform: f.Platform}
}
