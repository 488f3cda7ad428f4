package pitfalls

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// component is a part of Kubernetes and the version that it runs.
type component struct {
	name    string // "kubelet"
	where   string // the node or pod that it runs on
	version *version.Version
}

// apiServerVersions are the versions of the API servers: of the one that
// answered, and of those that show themselves as pods.
func apiServerVersions(s *cluster.Snapshot) []component {
	var all []component
	if v, err := version.ParseGeneric(s.Origin.Version); err == nil {
		all = append(all, component{"kube-apiserver", s.Origin.Server, v})
	}
	return append(all, controlPlanePods(s, "kube-apiserver")...)
}

// controlPlanePods are the pods of a component of the control plane, by the
// tags of their images, as kubeadm, kind and RKE2 run them.
func controlPlanePods(s *cluster.Snapshot, name string) []component {
	var all []component
	for _, w := range s.WorkloadsIn("kube-system") {
		for _, pod := range w.Pods {
			if pod.Labels["component"] != name && pod.Labels["k8s-app"] != name {
				continue
			}
			at := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
			if at < 0 {
				continue
			}
			if v, err := version.ParseGeneric(tagOf(pod.Spec.Containers[at].Image)); err == nil {
				all = append(all, component{name, pod.Name, v})
			}
		}
	}
	return all
}

func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return tag
}

// kubelets are the kubelets of all nodes.
func kubelets(s *cluster.Snapshot) []component {
	var all []component
	for _, node := range s.Nodes {
		if v, err := version.ParseGeneric(node.Status.NodeInfo.KubeletVersion); err == nil {
			all = append(all, component{"kubelet", node.Name, v})
		}
	}
	return all
}

// byMinor groups components by their minor version, oldest first.
func byMinor(all []component) [][]component {
	slices.SortStableFunc(all, func(a, b component) int {
		return cmp.Or(cmp.Compare(a.version.Minor(), b.version.Minor()), strings.Compare(a.where, b.where))
	})
	var groups [][]component
	for _, c := range all {
		if last := len(groups) - 1; last >= 0 && groups[last][0].version.Minor() == c.version.Minor() {
			groups[last] = append(groups[last], c)
		} else {
			groups = append(groups, []component{c})
		}
	}
	return groups
}

// minor is a version as people name it, "1.37".
func minor(v *version.Version) string { return fmt.Sprintf("%d.%d", v.Major(), v.Minor()) }

// places names where components run, the first few of them.
func places(all []component) string {
	const few = 3
	var names []string
	for _, c := range all[:min(len(all), few)] {
		names = append(names, c.where)
	}
	if len(all) > few {
		names = append(names, fmt.Sprintf("and %d more", len(all)-few))
	}
	return strings.Join(names, ", ")
}
