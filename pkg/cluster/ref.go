package cluster

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Ref names one object. It is comparable and usable as a map key.
type Ref struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
}

// RefOf names an object of the given API version and kind.
func RefOf(apiVersion, kind string, meta *metav1.ObjectMeta) Ref {
	return Ref{APIVersion: apiVersion, Kind: kind, Namespace: meta.Namespace, Name: meta.Name}
}

// String is how kubectl names the object: kind.group/name, or kind/name for
// the core group.
func (r Ref) String() string {
	kind := strings.ToLower(r.Kind)
	if gv, err := schema.ParseGroupVersion(r.APIVersion); err == nil && gv.Group != "" {
		kind += "." + gv.Group
	}
	return kind + "/" + r.Name
}

// IsPlatform reports whether a namespace belongs to the platform rather than
// to the cluster's users. Kubernetes reserves the prefix kube- for itself
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/);
// OpenShift reserves openshift-.
func IsPlatform(namespace string) bool {
	return strings.HasPrefix(namespace, "kube-") || strings.HasPrefix(namespace, "openshift-") || namespace == "openshift"
}

// IsPlatform reports whether the object belongs to the platform.
func (r Ref) IsPlatform() bool {
	if r.Kind == "Namespace" && r.APIVersion == "v1" {
		return IsPlatform(r.Name)
	}
	return IsPlatform(r.Namespace)
}
