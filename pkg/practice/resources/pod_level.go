package resources

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// podRequests reports whether the pod as a whole requests a resource, which
// its containers then share (KEP-2837, pod-level resources).
func podRequests(w *cluster.Workload, name corev1.ResourceName) bool {
	resources := w.Template.Spec.Resources
	if resources == nil {
		return false
	}
	_, requested := resources.Requests[name]
	return requested || podLimits(w, name) // an unset request becomes the limit
}

// podLimits reports whether the pod as a whole is limited in a resource.
func podLimits(w *cluster.Workload, name corev1.ResourceName) bool {
	resources := w.Template.Spec.Resources
	if resources == nil {
		return false
	}
	_, limited := resources.Limits[name]
	return limited
}
