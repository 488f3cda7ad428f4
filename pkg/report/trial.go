package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Trial is the result of `kubectl prod doctor test`.
type Trial struct {
	metav1.TypeMeta `json:",inline"`
	// Found counts the objects that are not in order, Failed the rules that
	// could not be judged.
	Found  int     `json:"found"`
	Failed int     `json:"failed"`
	Tried  []Tried `json:"tried"`
}

// Tried is one rule on one object.
type Tried struct {
	Practice string `json:"practice"`
	// Verdict is "pass", "fail" or "error".
	Verdict string `json:"verdict"`
	// Object is empty for an error that ended the rule.
	Object  Object `json:"object"`
	Message string `json:"message,omitempty"`
}

// DeepCopyObject makes a Trial printable by kubectl's printers.
func (t *Trial) DeepCopyObject() runtime.Object {
	clone := *t
	clone.Tried = append([]Tried(nil), t.Tried...)
	return &clone
}
