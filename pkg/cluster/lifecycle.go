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

// Removal is something of a component's command line that a release no longer
// knows: with it, the component does not start.
type Removal struct {
	// Component is "kube-apiserver", "kube-controller-manager", or "" for all.
	Component string
	// What is the flag without its dashes, the feature gate or the admission
	// plugin.
	What string
	// Minor is that of the release.
	Minor uint
}

// RemovedFlags are flags that a release of the control plane's components no
// longer knows (https://github.com/kubernetes/kubernetes/tree/master/CHANGELOG).
func RemovedFlags() []Removal {
	const apiServer, manager = "kube-apiserver", "kube-controller-manager"
	return []Removal{
		{apiServer, "insecure-port", 24}, {apiServer, "insecure-bind-address", 24},
		{apiServer, "service-account-api-audiences", 25}, {manager, "deleting-pods-qps", 25}, {manager, "deleting-pods-burst", 25}, {manager, "register-retry-count", 25},
		{apiServer, "master-service-namespace", 26}, {"", "logtostderr", 26}, {"", "alsologtostderr", 26}, {"", "log-dir", 26}, {"", "log-file", 26}, {"", "stderrthreshold", 26},
		{manager, "enable-taint-manager", 27}, {manager, "pod-eviction-timeout", 27},
		{manager, "volume-host-cidr-denylist", 31}, {manager, "volume-host-allow-local-loopback", 31},
		{manager, "horizontal-pod-autoscaler-upscale-delay", 31}, {manager, "horizontal-pod-autoscaler-downscale-delay", 31},
		{apiServer, "cloud-config", 33},
		{manager, "concurrent-service-syncs", 37},
	}
}

// RemovedAdmission are admission plugins that a release no longer has.
func RemovedAdmission() []Removal {
	return []Removal{{"kube-apiserver", "PodSecurityPolicy", 25}, {"kube-apiserver", "SecurityContextDeny", 30}}
}

// RemovedGates are feature gates that a release no longer knows, of 1.30 and
// later (https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates-removed/).
func RemovedGates() []Removal {
	var all []Removal
	for minor, gates := range map[uint][]string{
		30: {"ExpandedDNSConfig", "IPTablesOwnershipCleanup", "KubeletPodResources", "KubeletPodResourcesGetAllocatable", "MinimizeIPTablesRestore", "ProxyTerminatingEndpoints", "RemoveSelfLink"},
		31: {"APIPriorityAndFairness", "CSINodeExpandSecret", "ConsistentHTTPGetHandlers", "DefaultHostNetworkHostPortsInPodTemplates", "ServiceNodePortStaticSubrange", "SkipReadOnlyValidationGCE"},
		32: {
			"AllowServiceLBStatusOnNonLB", "CloudDualStackNodeIPs", "HPAContainerMetrics", "KMSv2", "KMSv2KDF", "LegacyServiceAccountTokenCleanUp", "MinDomainsInPodTopologySpread",
			"NewVolumeManagerReconstruction", "NodeOutOfServiceVolumeDetach", "ServerSideApply", "ServerSideFieldValidation", "StableLoadBalancerNodeSet", "ValidatingAdmissionPolicy", "ZeroLimitedNominalConcurrencyShares",
		},
		33: {
			"AppArmor", "AppArmorFields", "CPUManager", "DisableCloudProviders", "DisableKubeletCloudCredentialProviders", "JobPodFailurePolicy", "KubeProxyDrainingTerminatingNodes",
			"PDBUnhealthyPodEvictionPolicy", "PersistentVolumeLastPhaseTransitionTime", "VolumeCapacityPriority",
		},
		34: {"DevicePluginCDIDevices", "LegacySidecarContainers", "PodDisruptionConditions"},
		35: {"SizeMemoryBackedVolumes", "UserNamespacesHostNetworkSupport"},
		36: {"CSIMigrationPortworx", "InTreePluginPortworxUnregister", "WatchFromStorageWithoutResourceVersion"},
	} {
		for _, gate := range gates {
			all = append(all, Removal{What: gate, Minor: minor})
		}
	}
	return all
}
