package report

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Hardening is the result of `kubectl prod harden`: what would be written, or
// what was.
type Hardening struct {
	metav1.TypeMeta `json:",inline"`

	Time   metav1.Time `json:"time"`
	Origin Origin      `json:"origin"`
	// DryRun is "client" or "server" where nothing was to be written.
	DryRun string `json:"dryRun,omitempty"`
	// Changes are in the order in which they are asked about; those of one
	// object stand together and are written at once.
	Changes []HardenChange `json:"changes"`
	// Unsafe are findings for which there is a remedy, but not here.
	Unsafe []HardenRefusal `json:"unsafe,omitempty"`
	// Platform counts findings on the platform's own objects, which are left
	// alone unless they are named.
	Platform int `json:"platform,omitempty"`
	// NotChecked tells what could not be judged, one entry a cause.
	NotChecked []NotChecked `json:"notChecked,omitempty"`
}

// HardenState is what became of a change.
type HardenState string

// What may become of a change.
const (
	// Proposed: it could be written.
	Proposed HardenState = "proposed"
	// Refused: it must not, cannot or may not be written; Reason says why.
	Refused HardenState = "refused"
	// Skipped: nobody consented.
	Skipped HardenState = "skipped"
	// Applied: it was written, and what runs was seen to be well after.
	Applied HardenState = "applied"
	// Unverified: it was written; Reason says why nobody saw what came of it.
	Unverified HardenState = "unverified"
	// RolledBack: it was written, Reason says what went wrong, and everything
	// is again as it was.
	RolledBack HardenState = "rolled back"
	// Stuck: it was written, went wrong, and could not be taken back.
	Stuck HardenState = "stuck"
)

// HardenChange mends the findings of one practice on one object.
type HardenChange struct {
	// Number counts the changes from 1.
	Number   int      `json:"number"`
	Practice string   `json:"practice"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	// Reason says why the practice matters.
	Reason string `json:"reason"`
	// Object is what the findings are about.
	Object Object `json:"object"`
	// Findings say what is wrong, with the numbers that prove it.
	Findings []string `json:"findings"`
	// Does says what is written, Why gives the numbers behind it, Risk what may
	// go wrong, Effect when it takes effect and what restarts.
	Does   string `json:"does"`
	Why    string `json:"why,omitempty"`
	Risk   string `json:"risk,omitempty"`
	Effect string `json:"effect,omitempty"`
	// Also are practices that the same fields mend.
	Also []string `json:"also,omitempty"`
	// Notes say who else writes the fields, and what could not be tried.
	Notes []string `json:"notes,omitempty"`
	// Owner says what else writes the object; empty for a person.
	Owner string `json:"owner,omitempty"`
	// Writes are what is written, one an object.
	Writes []HardenWrite `json:"writes"`
	State  HardenState   `json:"state"`
	// Why it was refused, skipped or rolled back.
	StateReason string `json:"stateReason,omitempty"`
	// ID names the write for `harden undo`.
	ID string `json:"id,omitempty"`
}

// HardenWrite is what is written to one object.
type HardenWrite struct {
	Object Object `json:"object"`
	// Create is true for a new object.
	Create bool `json:"create,omitempty"`
	// Fields are those that change; of a new object there are none.
	Fields []HardenField `json:"fields,omitempty"`
	// Diff is a unified diff of the object as YAML, without its status. Values
	// that may be secret are masked.
	Diff string `json:"diff,omitempty"`
	// Patch is the same as YAML for Git, where something else owns the object.
	Patch string `json:"patch,omitempty"`
}

// HardenField is one field that changes.
type HardenField struct {
	Path string `json:"path"`
	// From and To are the values as JSON; empty for nothing.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// HardenRefusal is a finding that no remedy can mend safely here.
type HardenRefusal struct {
	Practice string `json:"practice"`
	Object   Object `json:"object"`
	Reason   string `json:"reason"`
}

// Count counts the changes in a state.
func (h *Hardening) Count(states ...HardenState) int {
	n := 0
	for _, c := range h.Changes {
		if slices.Contains(states, c.State) {
			n++
		}
	}
	return n
}

// DeepCopyObject makes a Hardening printable by kubectl's printers.
func (h *Hardening) DeepCopyObject() runtime.Object {
	clone := *h
	clone.Origin.Manifests = slices.Clone(h.Origin.Manifests)
	clone.Changes = slices.Clone(h.Changes)
	clone.Unsafe = slices.Clone(h.Unsafe)
	clone.NotChecked = slices.Clone(h.NotChecked)
	return &clone
}

// HardenHistory is the result of `kubectl prod harden history`.
type HardenHistory struct {
	metav1.TypeMeta `json:",inline"`
	// Items are the latest first.
	Items []HardenRecord `json:"items"`
}

// HardenRecord is one write, as the journal has it.
type HardenRecord struct {
	ID   string      `json:"id"`
	Time metav1.Time `json:"time"`
	// Context and Server are those of the run that wrote it.
	Context string `json:"context,omitempty"`
	Server  string `json:"server"`
	// State is the last step: verified, written, rolled back, undone and so on.
	State     string   `json:"state"`
	Note      string   `json:"note,omitempty"`
	Practices []string `json:"practices"`
	Objects   []Object `json:"objects"`
}

// DeepCopyObject makes a HardenHistory printable by kubectl's printers.
func (h *HardenHistory) DeepCopyObject() runtime.Object {
	clone := *h
	clone.Items = slices.Clone(h.Items)
	return &clone
}
