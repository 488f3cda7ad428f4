package practice

import (
	"fmt"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// Remedy is what `kubectl prod harden` can do about a practice's findings.
type Remedy struct {
	// Does says in one sentence what it writes, for explain and the docs.
	Does string
	// OptIn remedies are offered only when named: they are right for some.
	OptIn bool
	// ManifestsOnly remedies mend what only a manifest shows.
	ManifestsOnly bool
	// Uses are kinds that the remedy reads beyond those of its practice.
	Uses []cluster.Kind
	// Everywhere remedies rest on what other namespaces hold: a run that is
	// narrowed to one has to read all of them.
	Everywhere bool
	// LeadsTo are practices that begin to judge an object once it is mended, and
	// find more to do: a second replica can be scaled by load, a namespace in which
	// all meet a level can enforce it.
	LeadsTo []string
	// Propose says what would mend a finding of its practice, or why nothing
	// safe would. It is pure, and its proposal makes no other practice fail.
	Propose func(*cluster.Snapshot, Finding) Proposal
}

// Proposal is what would mend a finding.
type Proposal struct {
	// Changes belong together: all of them are written, or none.
	Changes []change.Change
	// Why gives the numbers behind what is proposed: "uses 41Mi now; × 1.2".
	Why string
	// Risk says what may go wrong, in one sentence; "" where nothing is known to.
	Risk string
	// Refused says why nothing is proposed; all else but Next is then empty.
	Refused string
	// Next are further parts of what mends the finding, each a change to accept
	// or refuse by itself, in this order. Some may be refused while others are
	// not: then the finding stays, with less to say.
	Next []Proposal
}

// Each are a Proposal and those that follow it.
func (p Proposal) Each() []Proposal {
	next := p.Next
	p.Next = nil
	return append([]Proposal{p}, next...)
}

// Refuse is the Proposal that nothing be done.
func Refuse(format string, args ...any) Proposal {
	return Proposal{Refused: fmt.Sprintf(format, args...)}
}

// Propose is a Proposal of changes that belong together.
func Propose(changes ...change.Change) Proposal { return Proposal{Changes: changes} }

// Because gives a Proposal the numbers behind it.
func (p Proposal) Because(format string, args ...any) Proposal {
	p.Why = fmt.Sprintf(format, args...)
	return p
}

// Risking says what may go wrong with a Proposal.
func (p Proposal) Risking(format string, args ...any) Proposal {
	p.Risk = fmt.Sprintf(format, args...)
	return p
}

// hardening is the command that mends a finding; "" where no remedy does.
func hardening(s *cluster.Snapshot, p Practice, f Finding, at cluster.Position) string {
	switch {
	case p.Remedy == nil, f.Platform || f.Object.IsPlatform():
		return ""
	case !s.Origin.Live && at.File != "":
		return "kubectl prod harden -f " + at.File + " --fix " + p.ID
	case !s.Origin.Live || p.Remedy.ManifestsOnly:
		return ""
	case f.Object == WholeCluster():
		return "kubectl prod harden --fix " + p.ID
	case f.Object.Namespace == "":
		return fmt.Sprintf("kubectl prod harden %s --fix %s", f.Object, p.ID)
	}
	return fmt.Sprintf("kubectl prod harden %s -n %s --fix %s", f.Object, f.Object.Namespace, p.ID)
}
