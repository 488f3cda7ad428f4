package cluster

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// istioStatus is what Istio's injector notes on a pod, in JSON: the names of
	// what it added (istio: pkg/kube/inject, SidecarInjectionStatus).
	istioStatus = "sidecar.istio.io/status"
	// linkerdProxyVersion is what Linkerd's injector notes on a pod.
	linkerdProxyVersion = "linkerd.io/proxy-version"
)

// IsInjected reports whether a service mesh added a container to a pod, or to a
// template where somebody did so by hand (istioctl kube-inject, linkerd
// inject): it is the mesh's, and nobody who owns the workload can edit it.
func IsInjected(meta *metav1.ObjectMeta, container string) bool {
	return slices.Contains(injected(meta), container)
}

// injected are the names of the containers that a mesh added.
func injected(meta *metav1.ObjectMeta) []string {
	if note := meta.Annotations[istioStatus]; note != "" {
		var status struct {
			InitContainers []string `json:"initContainers"`
			Containers     []string `json:"containers"`
		}
		if err := json.Unmarshal([]byte(note), &status); err != nil {
			return []string{"istio-init", "istio-validation", "istio-proxy"} // an injector of another version
		}
		return slices.Concat(status.InitContainers, status.Containers)
	}
	if meta.Annotations[linkerdProxyVersion] != "" {
		return []string{"linkerd-init", "linkerd-network-validator", "linkerd-proxy"}
	}
	return nil
}
