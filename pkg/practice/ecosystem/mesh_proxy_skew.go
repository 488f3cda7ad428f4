package ecosystem

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// MeshProxySkew finds proxies that an upgrade of the mesh left behind.
//
// https://istio.io/latest/docs/releases/supported-releases/#control-planedata-plane-skew
func MeshProxySkew() practice.Practice {
	return practice.Practice{
		ID:       "mesh-proxy-skew",
		Title:    "Proxy of another version than its service mesh",
		Chapter:  practice.Ecosystem,
		Severity: report.Warning,
		Reason:   "A proxy is as old as its pod. What an upgrade of the control plane mended is not mended in pods that were not restarted, and beyond a minor version apart nobody tests the two together.",
		Judged: "Pods with Istio's proxy, by the tag of its image against that of istiod: more than one minor version older, or newer. " +
			"Pods with Linkerd's, by the version that the injector noted on them (linkerd.io/proxy-version), against the one that it noted on the pods of Linkerd's own control plane: any other. " +
			"With several istiods, the one nearest counts. Tags that are no version are not judged.",
		Fix:      "restart the workloads, so that their pods get the new proxy: kubectl rollout restart",
		Sources:  []string{"https://istio.io/latest/docs/releases/supported-releases/#control-planedata-plane-skew", "https://linkerd.io/2/tasks/upgrade/#upgrade-the-data-plane"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods},
		Uses:     []cluster.Kind{cluster.ReplicaSets, cluster.Deployments, cluster.StatefulSets, cluster.DaemonSets},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			control := controlPlanes(s)
			var v practice.Verdict
			for _, w := range s.Workloads() {
				if meshControl(w) {
					continue
				}
				judged, apart := false, map[string]int{}
				for _, pod := range w.Pods {
					if !isLive(pod) {
						continue
					}
					if proxy := containerOf(pod, istioProxy); proxy != nil && len(control.istio) > 0 {
						if own, err := version.ParseGeneric(tagOf(proxy.Image)); err == nil {
							judged = true
							if said := control.apart(own); said != "" {
								apart[said]++
							}
						}
					}
					if own := pod.Annotations["linkerd.io/proxy-version"]; own != "" && len(control.linkerd) > 0 {
						judged = true
						if !slices.Contains(control.linkerd, own) {
							apart[fmt.Sprintf("Linkerd's proxy is %s, and its control plane's %s", own, strings.Join(control.linkerd, ", "))]++
						}
					}
				}
				if judged {
					v.Judged = append(v.Judged, w.Owner)
				}
				for _, said := range slices.Sorted(maps.Keys(apart)) {
					v.Findings = append(v.Findings, practice.On(w.Owner, "", "in %d of %d pods %s", apart[said], len(w.Pods), said).Mended("%s", restart(w)))
				}
			}
			return v
		},
	}
}

// controls are the versions of the meshes' control planes.
type controls struct {
	istio   []*version.Version
	linkerd []string
}

func controlPlanes(s *cluster.Snapshot) controls {
	var found controls
	for _, w := range s.Workloads() {
		if !meshControl(w) {
			continue
		}
		for _, pod := range w.Pods {
			for _, c := range pod.Spec.Containers {
				if v, err := version.ParseGeneric(tagOf(c.Image)); err == nil && isImage(c.Image, "pilot") {
					found.istio = append(found.istio, v)
				}
			}
			if v := pod.Annotations["linkerd.io/proxy-version"]; v != "" && isLive(pod) && !slices.Contains(found.linkerd, v) {
				found.linkerd = append(found.linkerd, v)
			}
		}
	}
	return found
}

// apart says how far a proxy is from every istiod; "" when one is near enough.
func (c controls) apart(proxy *version.Version) string {
	said := ""
	for _, control := range c.istio {
		switch {
		case proxy.Minor() > control.Minor():
			said = fmt.Sprintf("Istio's proxy is %s, newer than istiod (%s)", proxy, control)
		case proxy.Minor()+1 < control.Minor():
			said = fmt.Sprintf("Istio's proxy is %s, %d minor versions older than istiod (%s)", proxy, control.Minor()-proxy.Minor(), control)
		default:
			return ""
		}
	}
	return said
}
