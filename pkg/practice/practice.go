// Package practice says what a practice of the field guide is and how a
// catalogue of them is judged over a [cluster.Snapshot].
//
// A practice is one declaration in the file that bears its name, in the folder
// of its chapter; package catalogue lists them all.
package practice

import (
	"fmt"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Practice is one thing that a production-grade cluster does.
type Practice struct {
	// ID names the practice for good: in reports, flags, ignores and docs.
	// It is kebab-case and says what is seen: "memory-limit-unset".
	ID string
	// Title is the ID in words, without a full stop.
	Title    string
	Chapter  Chapter
	Severity report.Severity
	// Reason says in a few sentences why it matters in production.
	Reason string
	// Judged says how it is judged: what counts, what is exempt.
	Judged string
	// Fix says how to mend it.
	Fix string
	// Sources are where the rule comes from: documentation, KEP or code.
	Sources []string

	// Optional practices are judged only when asked for by their ID: they are
	// right for some clusters, and noise in most.
	Optional bool
	// Now practices tell of what is failing at this moment; `doctor --now`
	// judges these alone, and they come first among their severity.
	Now bool
	// LiveOnly practices judge what only a running cluster has.
	LiveOnly bool
	// ClusterScope practices judge the cluster as a whole or objects outside
	// namespaces, and are left out when a run is narrowed to a namespace.
	ClusterScope bool
	// Needs are the kinds without which there is no verdict.
	Needs []cluster.Kind
	// Judges are kinds of which any one suffices: the practice judges the
	// objects of those that were read, and the others are told as not checked.
	Judges []cluster.Kind
	// Uses are kinds that refine the verdict where they could be read.
	Uses []cluster.Kind
	// Check judges a Snapshot. It is pure: the same Snapshot, the same Verdict.
	Check func(*cluster.Snapshot) Verdict
	// CheckBy is set in place of Check where the practice has Thresholds, and
	// judges by those that it is given.
	CheckBy    func(*cluster.Snapshot, Thresholds) Verdict
	Thresholds Thresholds
	// Remedy mends what Check finds; nil where only a person can.
	Remedy *Remedy
}

// Chapter is a chapter of the field guide.
type Chapter string

// The chapters.
const (
	Resources     Chapter = "resources"
	Security      Chapter = "security"
	Observability Chapter = "observability"
	Availability  Chapter = "availability"
	Recovery      Chapter = "recovery"
	Pitfalls      Chapter = "pitfalls"
	Operations    Chapter = "operations"
	Ecosystem     Chapter = "ecosystem"
	// Custom is not the guide's: it holds the rules of the user's own.
	Custom Chapter = "custom"
)

// Chapters are all of them, in the guide's order; Custom is last.
func Chapters() []Chapter {
	return []Chapter{Resources, Security, Observability, Availability, Recovery, Pitfalls, Operations, Ecosystem, Custom}
}

// Title is the chapter's heading.
func (c Chapter) Title() string {
	switch c {
	case Resources:
		return "Resource management"
	case Security:
		return "Security"
	case Observability:
		return "Monitoring and observability"
	case Availability:
		return "High availability"
	case Recovery:
		return "Backup and recovery"
	case Pitfalls:
		return "Common pitfalls"
	case Operations:
		return "Operational excellence"
	case Ecosystem:
		return "Looking ahead"
	case Custom:
		return "Rules of your own"
	}
	return string(c)
}

// Verdict is what a check says.
type Verdict struct {
	// Judged are the objects that were looked at, with or without a finding.
	Judged []cluster.Ref
	// Findings are what is wrong with them.
	Findings []Finding
	// NotChecked, where set, says why there is no verdict at all.
	NotChecked string
}

// Finding is what is wrong with one object.
type Finding struct {
	Object cluster.Ref
	// Path leads to the field in the object, if there is one.
	Path string
	// Message says what is wrong, with the numbers that prove it.
	Message string
	// Severity differs from the practice's own where a case is worse or
	// milder than usual; empty otherwise.
	Severity report.Severity
	// Fix replaces the practice's own where this case needs another.
	Fix string
	// Platform marks a finding as the platform's although its object, being
	// outside namespaces, does not show it.
	Platform bool
}

// On is a finding on an object.
func On(object cluster.Ref, path, format string, args ...any) Finding {
	return Finding{Object: object, Path: path, Message: fmt.Sprintf(format, args...)}
}

// As gives a finding a severity of its own.
func (f Finding) As(severity report.Severity) Finding {
	f.Severity = severity
	return f
}

// OfPlatform marks a finding as the platform's where platform is true.
func (f Finding) OfPlatform(platform bool) Finding {
	f.Platform = platform
	return f
}

// Mended gives a finding a fix of its own.
func (f Finding) Mended(format string, args ...any) Finding {
	f.Fix = fmt.Sprintf(format, args...)
	return f
}
