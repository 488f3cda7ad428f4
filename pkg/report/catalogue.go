package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Catalogue is the result of `kubectl prod doctor list` and, with one item, of
// `kubectl prod doctor explain`.
type Catalogue struct {
	metav1.TypeMeta `json:",inline"`
	Items           []Practice `json:"items"`
}

// Practice is one practice of the catalogue, as its declaration tells it.
type Practice struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Chapter  string   `json:"chapter"`
	Severity Severity `json:"severity"`
	// Optional practices are judged only when --check names their ID.
	Optional bool `json:"optional"`
	// LiveOnly practices cannot be judged from manifests.
	LiveOnly bool   `json:"liveOnly"`
	Reason   string `json:"reason"`
	Judged   string `json:"judged"`
	Fix      string `json:"fix"`
	// Harden says what `kubectl prod harden` writes, and when it refuses; empty
	// where it has no remedy.
	Harden string `json:"harden,omitempty"`
	// HardenOptIn remedies are offered only when --fix names the practice, and
	// HardenManifestsOnly ones with -f and -k alone.
	HardenOptIn         bool     `json:"hardenOptIn,omitempty"`
	HardenManifestsOnly bool     `json:"hardenManifestsOnly,omitempty"`
	Reads               []string `json:"reads"`
	// Thresholds are the numbers that it judges by and that a team may change.
	Thresholds []Threshold `json:"thresholds,omitempty"`
	Sources    []string    `json:"sources"`
}

// Threshold is a number that a practice judges by.
type Threshold struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Meaning string  `json:"meaning"`
}

// DeepCopyObject makes a Catalogue printable by kubectl's printers.
func (c *Catalogue) DeepCopyObject() runtime.Object {
	clone := *c
	clone.Items = append([]Practice(nil), c.Items...)
	return &clone
}
