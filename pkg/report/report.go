// Package report holds the results that kubectl prod prints, as a versioned
// API: what is written here is what `-o json` promises to scripts.
package report

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API version of every result.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: "prod.kubectl.io", Version: "v1alpha1"}
}

// Diagnosis is the result of `kubectl prod doctor`.
type Diagnosis struct {
	metav1.TypeMeta `json:",inline"`

	// Time is the moment against which ages and expiries were judged, by the
	// API server's clock where one answered.
	Time   metav1.Time `json:"time"`
	Origin Origin      `json:"origin"`
	// Score is the overall score; Chapters are in the guide's order.
	Score    Score          `json:"score"`
	Chapters []ChapterScore `json:"chapters"`
	// Findings are worst first: by severity, then practice, then object.
	Findings []Finding `json:"findings"`
	// Ignored are findings that somebody set aside, with the reason; they count
	// neither in the score nor for the exit code.
	Ignored []IgnoredFinding `json:"ignored,omitempty"`
	// Warnings are ignores that could not be heeded, and the like.
	Warnings []string `json:"warnings,omitempty"`
	// Known are findings that a baseline holds already, and Mended those that
	// are no more; both only where there was one. Known ones count in the
	// score, but not for the exit code.
	Known  []Finding `json:"known,omitempty"`
	Mended []Finding `json:"mended,omitempty"`
	// Changes are the last hour's, latest first, and Events the last hour's
	// Warning events folded by cause; both only with --now.
	Changes []Change     `json:"changes,omitempty"`
	Events  []EventGroup `json:"events,omitempty"`
	// NotChecked tells what could not be judged, one entry a cause.
	NotChecked []NotChecked `json:"notChecked"`
	// Practices tells for each practice that was selected how it fared.
	Practices []PracticeResult `json:"practices"`
}

// Origin says what was diagnosed.
type Origin struct {
	Context   string `json:"context,omitempty"`
	Server    string `json:"server,omitempty"`
	Version   string `json:"version,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Selector  string `json:"selector,omitempty"`
	// Manifests names the files read instead of a cluster, and Objects counts
	// the objects in them.
	Manifests []string `json:"manifests,omitempty"`
	Objects   int      `json:"objects,omitempty"`
	// Workloads and Nodes count what was looked at.
	Workloads int `json:"workloads"`
	Nodes     int `json:"nodes"`
}

// Severity is how bad a finding is.
type Severity string

// The severities, worst first.
const (
	// Critical: an outage or a breach, now or at the next ordinary event.
	Critical Severity = "critical"
	// Warning: not production-grade; it will hurt some day.
	Warning Severity = "warning"
	// Info: worth knowing.
	Info Severity = "info"
)

// Severities are all of them, worst first.
func Severities() []Severity { return []Severity{Critical, Warning, Info} }

// Rank orders severities: 0 is the worst.
func (s Severity) Rank() int {
	for rank, severity := range Severities() {
		if s == severity {
			return rank
		}
	}
	return len(Severities())
}

// Weight is what a practice of this severity counts in a score.
func (s Severity) Weight() int {
	switch s {
	case Critical:
		return 10
	case Warning:
		return 3
	default:
		return 1
	}
}

// AtLeast reports whether s is as bad as other, or worse.
func (s Severity) AtLeast(other Severity) bool { return s.Rank() <= other.Rank() }

// Object names an object of the cluster or of a manifest.
type Object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

// Finding is one thing that is not as it should be, on one object.
type Finding struct {
	// Practice is the ID of the practice, "memory-limit-unset".
	Practice string   `json:"practice"`
	Chapter  string   `json:"chapter"`
	Severity Severity `json:"severity"`
	Object   Object   `json:"object"`
	// Path leads to the field, "spec.template.spec.containers[0].resources".
	Path string `json:"path,omitempty"`
	// Message says what is wrong, with the numbers that prove it.
	Message string `json:"message"`
	// Fix says what to do about it, in a sentence or as a command.
	Fix string `json:"fix,omitempty"`
	// Harden is the command that shows what would mend it, or says why nothing
	// safe would; empty where there is no remedy.
	Harden string `json:"harden,omitempty"`
	// Now marks what is failing at this moment, rather than at the next event.
	Now bool `json:"now,omitempty"`
	// Platform marks findings on the platform's own objects (kube-system and
	// the like), which do not count in the score.
	Platform bool `json:"platform,omitempty"`
	// File and Line are where in the manifests the object stands.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// Change is that somebody wrote an object.
type Change struct {
	Object Object `json:"object"`
	// What is "created", "deleted", "changed" or "rolled out, revision N".
	What string      `json:"what"`
	By   string      `json:"by,omitempty"`
	Time metav1.Time `json:"time"`
}

// EventGroup is Warning events with one cause.
type EventGroup struct {
	Reason string `json:"reason"`
	// Message is the latest event's.
	Message string `json:"message"`
	// Object is the owner a person would look at; Objects counts those that the
	// events are about.
	Object  Object      `json:"object"`
	Objects int         `json:"objects"`
	Count   int         `json:"count"`
	Last    metav1.Time `json:"last"`
}

// IgnoredFinding is a finding that somebody set aside.
type IgnoredFinding struct {
	Finding `json:",inline"`
	// Reason says why, By where that is written, Until the last day of it.
	Reason string `json:"reason"`
	By     string `json:"by"`
	Until  string `json:"until,omitempty"`
}

// Score is a share of what was judged that is in order, by weight.
type Score struct {
	// Percent is 0 to 100, rounded down, so that 100 means that nothing was
	// found; nil when nothing was judged.
	Percent  *int `json:"percent"`
	Critical int  `json:"critical"`
	Warning  int  `json:"warning"`
	Info     int  `json:"info"`
}

// ChapterScore is the score of one chapter of the guide.
type ChapterScore struct {
	Chapter string `json:"chapter"`
	Title   string `json:"title"`
	Score   `json:",inline"`
}

// NotChecked is something that could not be judged, and why. It never counts
// as in order.
type NotChecked struct {
	// Subject is what could not be read or judged: a kind such as
	// "nodes.metrics.k8s.io", an API group, or a practice.
	Subject string `json:"subject"`
	// State is forbidden, absent, failed, "needs a cluster" or "out of scope".
	State  string `json:"state"`
	Reason string `json:"reason"`
	// Allow is the RBAC rule that would allow what was forbidden.
	Allow string `json:"allow,omitempty"`
	// Practices could not be judged at all for this cause.
	Practices []string `json:"practices,omitempty"`
	// Partly were judged on what could be read.
	Partly []string `json:"partly,omitempty"`
}

// PracticeResult is how one practice fared.
type PracticeResult struct {
	ID       string   `json:"id"`
	Chapter  string   `json:"chapter"`
	Severity Severity `json:"severity"`
	// Checked is false when it could not be judged; see NotChecked.
	Checked bool `json:"checked"`
	// Judged counts the objects looked at, Failed those with a finding; the
	// platform's objects are in neither.
	Judged int `json:"judged"`
	Failed int `json:"failed"`
}

// Since sets aside as Known the findings that an earlier diagnosis holds.
func (d *Diagnosis) Since(before *Diagnosis) {
	c := Compare(before, d)
	d.Findings, d.Known, d.Mended = c.New, c.Same, c.Mended
}

// Finds reports whether there is a finding this bad or worse on the user's
// objects.
func (d *Diagnosis) Finds(atLeast Severity) bool {
	return slices.ContainsFunc(d.Findings, func(f Finding) bool { return !f.Platform && f.Severity.AtLeast(atLeast) })
}

// Keep drops findings milder than a severity; "" keeps all.
func (d *Diagnosis) Keep(atLeast Severity) {
	d.Findings = slices.DeleteFunc(d.Findings, func(f Finding) bool { return atLeast != "" && !f.Severity.AtLeast(atLeast) })
}

// DeepCopyObject makes a Diagnosis printable by kubectl's printers.
func (d *Diagnosis) DeepCopyObject() runtime.Object {
	clone := *d
	clone.Origin.Manifests = append([]string(nil), d.Origin.Manifests...)
	clone.Chapters = append([]ChapterScore(nil), d.Chapters...)
	clone.Findings = append([]Finding(nil), d.Findings...)
	clone.Ignored = append([]IgnoredFinding(nil), d.Ignored...)
	clone.Changes = append([]Change(nil), d.Changes...)
	clone.Events = append([]EventGroup(nil), d.Events...)
	clone.Known = append([]Finding(nil), d.Known...)
	clone.Mended = append([]Finding(nil), d.Mended...)
	clone.Warnings = append([]string(nil), d.Warnings...)
	clone.NotChecked = append([]NotChecked(nil), d.NotChecked...)
	clone.Practices = append([]PracticeResult(nil), d.Practices...)
	return &clone
}

// String is how kubectl names the object: kind.group/name, or kind/name for
// the core group.
func (o Object) String() string {
	kind := strings.ToLower(o.Kind)
	if gv, err := schema.ParseGroupVersion(o.APIVersion); err == nil && gv.Group != "" {
		kind += "." + gv.Group
	}
	return kind + "/" + o.Name
}
