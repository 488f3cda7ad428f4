package cluster

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
)

// Lifecycle is how long Kubernetes serves one version of a built-in kind.
type Lifecycle struct {
	// Deprecated and Removed are releases, "1.22"; Removed is "" while no
	// release is named.
	Deprecated, Removed string
	// Replacement is what to write instead, "networking.k8s.io/v1 Ingress".
	Replacement string
}

// LifecycleOf tells whether a version of a built-in kind is deprecated, as the
// types of this build of client-go have it; those that it no longer has, or
// never had, are named here.
func LifecycleOf(gvk schema.GroupVersionKind) (Lifecycle, bool) {
	switch gvk {
	case schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1beta1", Kind: "CustomResourceDefinition"}:
		return Lifecycle{"1.16", "1.22", "apiextensions.k8s.io/v1 CustomResourceDefinition"}, true
	case schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1beta1", Kind: "APIService"}:
		return Lifecycle{"1.19", "1.22", "apiregistration.k8s.io/v1 APIService"}, true
	case schema.GroupVersionKind{Group: "autoscaling", Version: "v2beta1", Kind: "HorizontalPodAutoscaler"}:
		return Lifecycle{"1.22", "1.25", "autoscaling/v2 HorizontalPodAutoscaler"}, true
	case schema.GroupVersionKind{Group: "autoscaling", Version: "v2beta2", Kind: "HorizontalPodAutoscaler"}:
		return Lifecycle{"1.23", "1.26", "autoscaling/v2 HorizontalPodAutoscaler"}, true
	case schema.GroupVersionKind{Group: "policy", Version: "v1beta1", Kind: "PodSecurityPolicy"},
		schema.GroupVersionKind{Group: "extensions", Version: "v1beta1", Kind: "PodSecurityPolicy"}:
		return Lifecycle{"1.21", "1.25", "Pod Security labels of namespaces"}, true
	}
	object, err := clientscheme.Scheme.New(gvk)
	if err != nil {
		return Lifecycle{}, false
	}
	deprecated, ok := object.(interface{ APILifecycleDeprecated() (major, minor int) })
	if !ok {
		return Lifecycle{}, false
	}
	l := Lifecycle{Deprecated: release(deprecated.APILifecycleDeprecated())}
	if removed, ok := object.(interface{ APILifecycleRemoved() (major, minor int) }); ok {
		l.Removed = release(removed.APILifecycleRemoved())
	}
	if replaced, ok := object.(interface {
		APILifecycleReplacement() schema.GroupVersionKind
	}); ok {
		by := replaced.APILifecycleReplacement()
		l.Replacement = by.GroupVersion().String() + " " + by.Kind
	}
	return l, true
}

func release(major, minor int) string { return fmt.Sprintf("%d.%d", major, minor) }
