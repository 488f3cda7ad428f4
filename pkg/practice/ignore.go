package practice

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Ignore sets findings aside, for a reason and perhaps for a time. What it
// does not name it does not ask about.
type Ignore struct {
	// Practice is an ID, a chapter, or "*" for every practice.
	Practice string
	// Namespace, Kind, Name and Container are glob patterns, as path.Match
	// reads them. Kind is compared without regard to case.
	Namespace, Kind, Name, Container string
	// Selector matches the labels of the object; of a workload, its own and
	// its pods' together.
	Selector labels.Selector
	// Reason says why; without one the Ignore is not heeded.
	Reason string
	// Until is the last day on which the Ignore holds; zero is for ever.
	Until time.Time
	// Source says where the Ignore stands, for messages.
	Source string
}

// IgnoreAnnotation prefixes annotations that set findings aside on an object,
// or on all objects of a namespace: the practice's ID follows, and the value is
// the reason, to which "; until 2026-12-31" may be added.
const IgnoreAnnotation = "ignore.prod.kubectl.io/"

// ignores sets the findings of a run aside, and gathers the Ignores that could
// not be heeded.
type ignores struct {
	snapshot *cluster.Snapshot
	scope    Scope
	warnings []string
	warned   map[string]bool
}

// of is the Ignore that sets a finding aside; nil when none does. Those that
// would, but have ended or give no reason, are warned of.
func (i *ignores) of(p Practice, f Finding) *Ignore {
	for _, ignore := range append(i.annotations(p, f.Object), i.scope.Ignores...) {
		if !ignore.matches(i.snapshot, p, f) {
			continue
		}
		switch {
		case strings.TrimSpace(ignore.Reason) == "":
			i.warn("%s ignores %s without a reason, and is not heeded", ignore.Source, p.ID)
		case !ignore.Until.IsZero() && !i.snapshot.Time.Before(ignore.Until.AddDate(0, 0, 1)):
			i.warn("%s ignores %s until %s, which has passed", ignore.Source, p.ID, ignore.Until.Format(time.DateOnly))
		default:
			return &ignore
		}
	}
	return nil
}

func (i *ignores) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if i.warned[text] {
		return
	}
	if i.warned == nil {
		i.warned = map[string]bool{}
	}
	i.warned[text] = true
	i.warnings = append(i.warnings, text)
}

// annotations are the Ignores for a practice on an object and its namespace.
func (i *ignores) annotations(p Practice, object cluster.Ref) []Ignore {
	var found []Ignore
	for _, ref := range []cluster.Ref{object, NamespaceRef(object.Namespace)} {
		value, ok := i.snapshot.AnnotationsOf(ref)[IgnoreAnnotation+p.ID]
		if !ok {
			continue
		}
		ignore := Ignore{Practice: p.ID, Source: fmt.Sprintf("the annotation on %s", ref)}
		reason, until, timed := strings.Cut(value, "; until ")
		ignore.Reason = reason
		if timed {
			var err error
			if ignore.Until, err = time.Parse(time.DateOnly, strings.TrimSpace(until)); err != nil {
				i.warn("%s ignores %s until %q, which is no date like 2026-12-31, and is not heeded", ignore.Source, p.ID, until)
				continue
			}
		}
		found = append(found, ignore)
	}
	return found
}

func (ignore Ignore) matches(s *cluster.Snapshot, p Practice, f Finding) bool {
	if ignore.Practice != "*" && ignore.Practice != p.ID && ignore.Practice != string(p.Chapter) {
		return false
	}
	for _, glob := range []struct{ pattern, value string }{
		{ignore.Namespace, f.Object.Namespace},
		{strings.ToLower(ignore.Kind), strings.ToLower(f.Object.Kind)},
		{ignore.Name, f.Object.Name},
	} {
		if glob.pattern != "" && !matchesGlob(glob.pattern, glob.value) {
			return false
		}
	}
	if ignore.Container != "" && !matchesGlob(ignore.Container, containerOf(s, f)) {
		return false
	}
	return ignore.Selector == nil || ignore.Selector.Matches(labels.Set(s.SelectableLabels(f.Object)))
}

// matchesGlob takes a pattern that does not parse for one that matches nothing;
// whoever reads Ignores refuses such patterns with their line.
func matchesGlob(pattern, value string) bool {
	matched, err := path.Match(pattern, value)
	return err == nil && matched && value != ""
}

// containerOf names the container that a finding is about, by its path; "" when
// it is about none.
func containerOf(s *cluster.Snapshot, f Finding) string {
	parts := regexp.MustCompile(`\b(initContainers|containers)\[(\d+)\]`).FindStringSubmatch(f.Path)
	w := s.WorkloadByRef(f.Object)
	if parts == nil || w == nil {
		return ""
	}
	containers := w.Template.Spec.Containers
	if parts[1] == "initContainers" {
		containers = w.Template.Spec.InitContainers
	}
	if i, err := strconv.Atoi(parts[2]); err == nil && i < len(containers) {
		return containers[i].Name
	}
	return ""
}

// aside is a finding set aside, worded for the report.
func (ignore *Ignore) aside(f report.Finding) report.IgnoredFinding {
	aside := report.IgnoredFinding{Finding: f, Reason: ignore.Reason, By: cmp.Or(ignore.Source, "an ignore")}
	if !ignore.Until.IsZero() {
		aside.Until = ignore.Until.Format(time.DateOnly)
	}
	return aside
}
