package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Comparison is the result of `kubectl prod doctor diff`: what changed from
// one Diagnosis to a later one.
type Comparison struct {
	metav1.TypeMeta `json:",inline"`

	Before Moment `json:"before"`
	After  Moment `json:"after"`
	// New findings are in the later Diagnosis alone, Mended in the earlier.
	New    []Finding `json:"new"`
	Mended []Finding `json:"mended"`
	// Same are in both, as the later tells them.
	Same []Finding `json:"same"`
	// Unknown are in the earlier Diagnosis, and the later did not check their
	// practice: nobody can tell whether they are mended.
	Unknown []Finding `json:"unknown"`
}

// Moment tells which Diagnosis a side of a Comparison is.
type Moment struct {
	Time   metav1.Time `json:"time"`
	Origin Origin      `json:"origin"`
	Score  Score       `json:"score"`
}

// identity is what makes two findings of two runs the same: messages hold
// numbers that change, and so do not count.
type identity struct {
	practice, path string
	object         Object
}

func (f Finding) identity() identity { return identity{f.Practice, f.Path, f.Object} }

// Compare tells what changed between two diagnoses.
func Compare(before, after *Diagnosis) *Comparison {
	c := &Comparison{
		TypeMeta: metav1.TypeMeta{APIVersion: GroupVersion().String(), Kind: "Comparison"},
		Before:   Moment{before.Time, before.Origin, before.Score},
		After:    Moment{after.Time, after.Origin, after.Score},
		New:      []Finding{}, Mended: []Finding{}, Same: []Finding{}, Unknown: []Finding{},
	}
	// A practice may find the same fault at one place more than once.
	left := map[identity]int{}
	for _, f := range before.Findings {
		left[f.identity()]++
	}
	for _, f := range after.Findings {
		if left[f.identity()] > 0 {
			left[f.identity()]--
			c.Same = append(c.Same, f)
		} else {
			c.New = append(c.New, f)
		}
	}
	checked := map[string]bool{}
	for _, p := range after.Practices {
		checked[p.ID] = p.Checked
	}
	for _, f := range before.Findings {
		if left[f.identity()] == 0 {
			continue
		}
		left[f.identity()]--
		if checked[f.Practice] {
			c.Mended = append(c.Mended, f)
		} else {
			c.Unknown = append(c.Unknown, f)
		}
	}
	return c
}

// DeepCopyObject makes a Comparison printable by kubectl's printers.
func (c *Comparison) DeepCopyObject() runtime.Object {
	clone := *c
	clone.New = append([]Finding(nil), c.New...)
	clone.Mended = append([]Finding(nil), c.Mended...)
	clone.Same = append([]Finding(nil), c.Same...)
	clone.Unknown = append([]Finding(nil), c.Unknown...)
	return &clone
}
