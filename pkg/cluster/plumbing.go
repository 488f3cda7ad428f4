package cluster

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Definition is what practices read of a CustomResourceDefinition: its versions,
// without their schemas, which are by far the largest part of it. Of those, only
// whether there is room for a pod template.
type Definition struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              DefinitionSpec   `json:"spec"`
	Status            DefinitionStatus `json:"status"`
}

// DefinitionSpec is the wanted state of a Definition.
type DefinitionSpec struct {
	Group    string              `json:"group"`
	Scope    string              `json:"scope"`
	Versions []DefinitionVersion `json:"versions"`
	// Conversion says who converts between the versions.
	Conversion DefinitionConversion `json:"conversion"`
}

// DefinitionConversion is how a custom kind's objects are converted.
type DefinitionConversion struct {
	Webhook struct {
		ClientConfig struct {
			// Service is nil for a URL, and where nothing is converted.
			Service  *APIServiceBackend `json:"service"`
			CABundle []byte             `json:"caBundle"`
		} `json:"clientConfig"`
	} `json:"webhook"`
}

// DefinitionVersion is one version of a custom kind.
type DefinitionVersion struct {
	Name       string         `json:"name"`
	Served     bool           `json:"served"`
	Storage    bool           `json:"storage"`
	Deprecated bool           `json:"deprecated"`
	Schema     TemplateSchema `json:"schema"`
}

// DefinitionStatus is the state of a Definition.
type DefinitionStatus struct {
	StoredVersions []string           `json:"storedVersions"`
	Conditions     []metav1.Condition `json:"conditions"`
}

// DeepCopyObject makes a Definition an object of the API machinery.
func (d *Definition) DeepCopyObject() runtime.Object {
	clone := *d
	d.DeepCopyInto(&clone.ObjectMeta)
	clone.Spec.Versions = slices.Clone(d.Spec.Versions)
	clone.Status.StoredVersions = slices.Clone(d.Status.StoredVersions)
	clone.Status.Conditions = slices.Clone(d.Status.Conditions)
	return &clone
}

// APIService is what practices read of an APIService.
type APIService struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              APIServiceSpec   `json:"spec"`
	Status            APIServiceStatus `json:"status"`
}

// APIServiceSpec is the wanted state of an APIService.
type APIServiceSpec struct {
	Group    string `json:"group"`
	Version  string `json:"version"`
	CABundle []byte `json:"caBundle"`
	// Service is nil for what the API server serves itself.
	Service *APIServiceBackend `json:"service"`
}

// APIServiceBackend is the Service behind an APIService.
type APIServiceBackend struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// APIServiceStatus is the state of an APIService.
type APIServiceStatus struct {
	Conditions []metav1.Condition `json:"conditions"`
}

// DeepCopyObject makes an APIService an object of the API machinery.
func (a *APIService) DeepCopyObject() runtime.Object {
	clone := *a
	a.DeepCopyInto(&clone.ObjectMeta)
	clone.Spec.CABundle = slices.Clone(a.Spec.CABundle)
	clone.Status.Conditions = slices.Clone(a.Status.Conditions)
	return &clone
}

// ownList is a page of objects of a type of our own.
type ownList[T any] struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []T `json:"items"`
}

// DeepCopyObject makes an ownList an object of the API machinery.
func (l *ownList[T]) DeepCopyObject() runtime.Object {
	clone := *l
	clone.Items = slices.Clone(l.Items)
	return &clone
}
