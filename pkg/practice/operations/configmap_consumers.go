package operations

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hasConsumer reports whether a ConfigMap shows that something finds it other
// than by a reference from a pod: its owner, the control plane, or a program
// that reads ConfigMaps through the API.
func hasConsumer(cm *metav1.PartialObjectMetadata) bool {
	return len(cm.OwnerReferences) > 0 || isPublished(cm.Name) || isLock(cm) || isFoundByLabel(cm.Labels)
}

// isPublished reports whether a controller writes the ConfigMap into every
// namespace, for whoever wants it.
func isPublished(name string) bool {
	return slices.Contains([]string{
		"kube-root-ca.crt",         // kube-controller-manager
		"openshift-service-ca.crt", // OpenShift's service CA
		"istio-ca-root-cert",       // istiod
		"linkerd-identity-trust-roots",
	}, name)
}

// isLock reports whether the ConfigMap is a leader election's lock, as they
// were before Leases.
func isLock(cm *metav1.PartialObjectMetadata) bool {
	_, lock := cm.Annotations["control-plane.alpha.kubernetes.io/leader"]
	return lock
}

// isFoundByLabel reports whether labels mark the ConfigMap for a program that
// lists them by label, or as part of one that reads its own by name.
func isFoundByLabel(labels map[string]string) bool {
	for key, value := range labels {
		switch {
		case strings.HasPrefix(key, "grafana_"), // Grafana's dashboard, datasource and alert sidecars
			strings.HasPrefix(key, "prometheus_"), // rule sidecars
			key == "k8s-app",                      // cluster add-ons
			key == "velero.io/plugin-config",      // Velero
			key == "reconcile.fluxcd.io/watch",    // Flux
			key == "OWNER" && value == "TILLER",   // Helm 2 releases
			key == "owner" && value == "helm",     // Helm 3 releases
			key == "app.kubernetes.io/part-of" && isReaderOfItsOwn(value):
			return true
		}
	}
	return false
}

// isReaderOfItsOwn reports whether a system reads its ConfigMaps by name
// through the API, without a reference from its pods.
func isReaderOfItsOwn(system string) bool {
	return system == "argocd" || strings.HasPrefix(system, "tekton-") || strings.HasPrefix(system, "knative-")
}
