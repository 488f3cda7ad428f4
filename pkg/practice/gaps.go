package practice

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// gaps gathers what could not be judged, one entry a cause.
type gaps struct {
	causes []report.NotChecked
}

// note tells whether a practice can be judged over a Snapshot, and notes the
// causes where it cannot, or can only in part.
func (g *gaps) note(s *cluster.Snapshot, p Practice, scope Scope) bool {
	if !s.Origin.Live && p.LiveOnly {
		g.add("live state", "needs a cluster", "manifests do not show it", p.ID, false)
		return false
	}
	if scope.Namespace != "" && p.ClusterScope {
		g.add("the cluster as a whole", "out of scope", "the run is narrowed to namespace "+scope.Namespace, p.ID, false)
		return false
	}
	judgeable := true
	for _, kind := range p.Needs {
		if !s.Known(kind) {
			g.kind(s, kind, p.ID, false)
			judgeable = false
		}
	}
	// What a cluster does without tells nothing in place of what was refused.
	unknown := slices.ContainsFunc(p.Judges, func(kind cluster.Kind) bool { return !s.Known(kind) })
	read := !unknown || slices.ContainsFunc(p.Judges, s.WasRead)
	for _, kind := range p.Judges {
		if !s.Known(kind) {
			g.kind(s, kind, p.ID, read && judgeable)
		}
	}
	for _, kind := range p.Uses {
		if state := s.Coverage(kind).State; state == cluster.Forbidden || state == cluster.Failed {
			g.kind(s, kind, p.ID, judgeable)
		}
	}
	for _, kind := range p.kinds() {
		if c := s.Coverage(kind); c.State == cluster.Read && c.Reason != "" { // some of it could not be read
			g.add(string(kind), string(cluster.Failed), c.Reason, p.ID, judgeable)
		}
	}
	return judgeable && (read || len(p.Judges) == 0)
}

// noteUnserved adds the API groups that the server lists but cannot serve.
func (g *gaps) noteUnserved(s *cluster.Snapshot) {
	for _, unserved := range s.Origin.Unserved {
		told := slices.ContainsFunc(g.causes, func(c report.NotChecked) bool {
			group, _, _ := strings.Cut(unserved.GroupVersion, "/")
			return strings.HasSuffix(c.Subject, "."+group)
		})
		if !told {
			g.causes = append(g.causes, report.NotChecked{
				Subject: "apiservice " + unserved.GroupVersion, State: string(cluster.Failed), Reason: unserved.Reason,
			})
		}
	}
}

func (g *gaps) kind(s *cluster.Snapshot, kind cluster.Kind, practice string, partly bool) {
	c := s.Coverage(kind)
	g.add(string(kind), string(c.State), c.Reason, practice, partly)
	if c.State == cluster.Forbidden {
		g.allow(string(kind), c.Allow)
	}
}

// allow notes the RBAC rule that would allow what was forbidden.
func (g *gaps) allow(subject, rule string) {
	for i := range g.causes {
		if g.causes[i].Subject == subject {
			g.causes[i].Allow = rule
		}
	}
}

// withdraw takes back that a practice was judged in part: it found that it
// could not judge at all.
func (g *gaps) withdraw(practice string) {
	for i := range g.causes {
		g.causes[i].Partly = slices.DeleteFunc(g.causes[i].Partly, func(id string) bool { return id == practice })
	}
	g.causes = slices.DeleteFunc(g.causes, func(c report.NotChecked) bool { return len(c.Practices)+len(c.Partly) == 0 })
}

func (g *gaps) add(subject, state, reason, practice string, partly bool) {
	reason = cmp.Or(reason, state)
	at := slices.IndexFunc(g.causes, func(c report.NotChecked) bool {
		return c.Subject == subject && c.Reason == reason
	})
	if at < 0 {
		at = len(g.causes)
		g.causes = append(g.causes, report.NotChecked{Subject: subject, State: state, Reason: reason})
	}
	cause := &g.causes[at]
	if partly {
		cause.Partly = append(cause.Partly, practice)
	} else {
		cause.Practices = append(cause.Practices, practice)
	}
}
