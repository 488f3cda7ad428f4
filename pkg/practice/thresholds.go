package practice

import (
	"slices"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// Threshold is a number that a practice judges by and that a team may change.
type Threshold struct {
	// Name says what it counts, in its unit: "percent", "warning-days".
	Name  string
	Value float64
	// Meaning says in a few words what happens beyond it.
	Meaning string
}

// Thresholds are all of one practice.
type Thresholds []Threshold

// Of is a threshold's value. A name that the practice does not declare is a
// mistake in its code, which any of its cases shows.
func (t Thresholds) Of(name string) float64 {
	at := slices.IndexFunc(t, func(one Threshold) bool { return one.Name == name })
	if at < 0 {
		panic("no threshold " + name + " is declared")
	}
	return t[at].Value
}

// Span is a threshold that counts a unit of time.
func (t Thresholds) Span(name string, unit time.Duration) time.Duration {
	return time.Duration(t.Of(name) * float64(unit))
}

// With are the thresholds with some values changed.
func (t Thresholds) With(values map[string]float64) Thresholds {
	changed := slices.Clone(t)
	for i := range changed {
		if value, ok := values[changed[i].Name]; ok {
			changed[i].Value = value
		}
	}
	return changed
}

// Verdict judges a Snapshot by the practice's own thresholds, where it has some.
func (p Practice) Verdict(s *cluster.Snapshot) Verdict {
	if p.CheckBy != nil {
		return p.CheckBy(s, p.Thresholds)
	}
	return p.Check(s)
}
