package ecosystem

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// MeshInjectionGap finds pods that a mesh was to take in, and has not.
//
// https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/
func MeshInjectionGap() practice.Practice {
	return practice.Practice{
		ID:       "mesh-injection-gap",
		Title:    "Pod without the proxy of its service mesh",
		Chapter:  practice.Ecosystem,
		Severity: report.Warning,
		Reason: "A proxy is put into a pod when the pod is made. One that was made before its namespace was labelled, or while the injector was away, speaks plain text past every policy of the mesh, " +
			"or is cut off where the mesh asks for mutual TLS.",
		Judged: "Each running pod of a namespace that Istio (istio-injection: enabled, or istio.io/rev) or Linkerd (linkerd.io/inject) is to inject, or whose own label or annotation asks for it: it must have the container istio-proxy or linkerd-proxy. " +
			"Exempt are pods that refuse it (sidecar.istio.io/inject: \"false\", linkerd.io/inject: disabled), those on their node's network, which no mesh injects, the mesh's own, and namespaces of Istio's ambient mode.",
		Fix:      "restart it, so that its pods are made again; if they come back without a proxy, look at the injector's webhook",
		Sources:  []string{"https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/", "https://linkerd.io/2/features/proxy-injection/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods, cluster.Namespaces},
		Uses:     []cluster.Kind{cluster.ReplicaSets, cluster.Deployments, cluster.StatefulSets, cluster.DaemonSets, cluster.Jobs},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, w := range s.Workloads() {
				mesh, proxy, because := "", "", ""
				without, asked := 0, 0
				for _, pod := range w.Pods {
					if !isLive(pod) || meshControl(w) || pod.Spec.HostNetwork {
						continue
					}
					if m, p, why := wantsProxy(s, pod); m != "" {
						asked++
						if containerOf(pod, p) == nil {
							mesh, proxy, because, without = m, p, why, without+1
						}
					}
				}
				if asked == 0 {
					continue
				}
				v.Judged = append(v.Judged, w.Owner)
				if without > 0 {
					v.Findings = append(v.Findings, practice.On(w.Owner, "", "%d of %d pods have no %s, which %s is to inject (%s)", without, asked, proxy, mesh, because).Mended("%s", restart(w)))
				}
			}
			return v
		},
	}
}

// wantsProxy names the mesh that is to inject a pod, its proxy's container, and
// by what; "" when none is. What a pod says of itself goes before its namespace.
func wantsProxy(s *cluster.Snapshot, pod *cluster.Pod) (mesh, proxy, because string) {
	ns := s.Namespace(pod.Namespace)
	if ns == nil {
		ns = &corev1.Namespace{}
	}
	// https://github.com/istio/istio/blob/master/pkg/kube/inject/inject.go (injectRequired)
	own := pod.Labels["sidecar.istio.io/inject"]
	if own == "" {
		own = pod.Annotations["sidecar.istio.io/inject"]
	}
	ambient := ns.Labels["istio.io/dataplane-mode"] == "ambient"
	switch {
	case own == "false", ambient:
	case own == "true":
		return "Istio", istioProxy, "its label sidecar.istio.io/inject"
	case ns.Labels["istio-injection"] == "enabled":
		return "Istio", istioProxy, "the namespace's label istio-injection: enabled"
	case ns.Labels["istio-injection"] == "" && ns.Labels["istio.io/rev"] != "":
		return "Istio", istioProxy, "the namespace's label istio.io/rev: " + ns.Labels["istio.io/rev"]
	}
	asks := func(value string) bool { return value == "enabled" || value == "ingress" }
	switch inject := pod.Annotations["linkerd.io/inject"]; {
	case inject == "disabled":
	case asks(inject):
		return "Linkerd", linkerdProxy, "its annotation linkerd.io/inject: " + inject
	case asks(ns.Annotations["linkerd.io/inject"]):
		return "Linkerd", linkerdProxy, "the namespace's annotation linkerd.io/inject: " + ns.Annotations["linkerd.io/inject"]
	}
	return "", "", ""
}

// restart says how a workload's pods are made again.
func restart(w *cluster.Workload) string {
	switch w.Owner.Kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		return "kubectl rollout restart " + w.Owner.String() + " -n " + w.Owner.Namespace
	}
	return "make its pods again: kubectl delete pod, one by one"
}
