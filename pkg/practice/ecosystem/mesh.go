package ecosystem

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

const (
	istioProxy   = "istio-proxy"
	linkerdProxy = "linkerd-proxy"
)

// containerOf finds a container of a pod, sidecars among the init containers
// too; nil when there is none.
func containerOf(pod *cluster.Pod, name string) *corev1.Container {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		if at := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == name }); at >= 0 {
			return &containers[at]
		}
	}
	return nil
}

// isLive reports whether a pod runs, or is to.
func isLive(pod *cluster.Pod) bool {
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed && pod.DeletionTimestamp == nil
}

// meshControl reports whether a workload is a mesh's own.
func meshControl(w *cluster.Workload) bool {
	_, linkerd := w.Template.Labels["linkerd.io/control-plane-component"]
	return linkerd || w.Template.Labels["app"] == "istiod" || slices.ContainsFunc(w.Template.Spec.Containers, func(c corev1.Container) bool { return isImage(c.Image, "pilot") })
}

// isImage reports whether an image is of a name, without registry, path, tag
// and digest.
func isImage(image, name string) bool {
	image, _, _ = strings.Cut(image, "@")
	image, _, _ = strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return image == name
}

// tagOf is an image's tag; "" without one.
func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return tag
}
