package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Systems is the result of `kubectl prod doctor systems`.
type Systems struct {
	metav1.TypeMeta `json:",inline"`
	// Items are the distribution first, then the systems found.
	Items []System `json:"items"`
}

// System is a system around the cluster.
type System struct {
	Name string `json:"name"`
	// Version is the tag of its image, or of the distribution the API server's
	// version; empty when nothing shows it.
	Version string `json:"version,omitempty"`
	// Health is "healthy", "sick", "scaled to zero" or "its API only", with the
	// numbers.
	Health string `json:"health"`
	// Effect says what the system changes for the practices.
	Effect string `json:"effect"`
	// Evidence are the APIs and workloads it was recognised by.
	Evidence []string `json:"evidence"`
}

// DeepCopyObject makes Systems printable by kubectl's printers.
func (s *Systems) DeepCopyObject() runtime.Object {
	clone := *s
	clone.Items = append([]System(nil), s.Items...)
	return &clone
}
