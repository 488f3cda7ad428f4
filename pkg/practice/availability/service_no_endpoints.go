package availability

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ServiceNoEndpoints finds Services that send traffic nowhere.
//
// A Service finds its pods by labels and their ports by name. When either
// changes it stays, resolves, and refuses every connection.
// https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/
func ServiceNoEndpoints() practice.Practice {
	return practice.Practice{
		ID:       "service-no-endpoints",
		Title:    "Service without a ready endpoint",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A Service finds its pods by labels and their ports by name. When either changes, or no pod is ready, it stays and resolves, and every connection to it fails.",
		Judged: "Each Service with a selector: live, some EndpointSlice of it must have a ready endpoint; what it selects and its named target ports say why there is none. " +
			"Services of workloads scaled to none are left out, as are those younger than 2 minutes, and those whose pods are all told by pod-pending, pod-image-error or restart-loop. In manifests: target ports by a name that no selected container declares; " +
			"a selector that matches nothing is an info, since what it selects may stand in other files.",
		Fix: "make spec.selector match the pods' labels, and targetPort a port of theirs",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/#does-the-service-have-any-endpointslices",
			"https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports",
		},
		Needs: []cluster.Kind{cluster.Services},
		Uses:  append(cluster.WorkloadKinds(), cluster.EndpointSlices),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			if !s.Origin.Live {
				return unroutedInManifests(s)
			}
			if !s.WasRead(cluster.EndpointSlices) {
				return practice.Verdict{NotChecked: "endpoint slices could not be read: " + s.Coverage(cluster.EndpointSlices).Reason}
			}
			var v practice.Verdict
			for _, service := range s.Services {
				selected := selectedBy(s, service)
				if len(service.Spec.Selector) == 0 || atNone(selected) || s.Time.Sub(service.CreationTimestamp.Time) < settling {
					continue
				}
				ref := cluster.RefOf("v1", "Service", &service.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if has := s.EndpointsOf(service); has.Ready == 0 && toldOfPods(s, selected) {
					continue
				} else if has.Ready == 0 {
					v.Findings = append(v.Findings, practice.On(ref, "spec.selector", "%s", whyNoEndpoints(s, service, selected, has.All)).
						Mended("kubectl get pods -n %s -l %s", service.Namespace, metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: service.Spec.Selector})))
				} else {
					v.Findings = append(v.Findings, undeclaredPorts(ref, service, selected)...)
				}
			}
			return v
		},
	}
}

func unroutedInManifests(s *cluster.Snapshot) practice.Verdict {
	var v practice.Verdict
	for _, service := range s.Services {
		if len(service.Spec.Selector) == 0 {
			continue
		}
		ref := cluster.RefOf("v1", "Service", &service.ObjectMeta)
		v.Judged = append(v.Judged, ref)
		selected := selectedBy(s, service)
		if len(selected) == 0 {
			v.Findings = append(v.Findings, practice.On(ref, "spec.selector", "selects %s, which no workload in these manifests is", selectorWords(service)).As(report.Info))
		}
		v.Findings = append(v.Findings, undeclaredPorts(ref, service, selected)...)
	}
	return v
}

func selectedBy(s *cluster.Snapshot, service *corev1.Service) []*cluster.Workload {
	if len(service.Spec.Selector) == 0 {
		return nil
	}
	return s.Selected(service.Namespace, &metav1.LabelSelector{MatchLabels: service.Spec.Selector})
}

func selectorWords(service *corev1.Service) string {
	return metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: service.Spec.Selector})
}

// atNone reports whether all that a Service selects is at zero on purpose, or
// runs now and then.
func atNone(selected []*cluster.Workload) bool {
	return len(selected) > 0 && !slices.ContainsFunc(selected, func(w *cluster.Workload) bool {
		return staysUp(w) && (!w.HasReplicas() || *w.Replicas > 0)
	})
}

// toldOfPods reports whether other practices say why each pod does not run: it
// waits for a node or an image, or crashes.
func toldOfPods(s *cluster.Snapshot, selected []*cluster.Workload) bool {
	told := 0
	for _, w := range selected {
		for _, pod := range w.Pods {
			switch {
			case !stays(pod):
			case pending(s.Time, pod) == nil && imageTrouble(pod) == nil && !crashes(pod):
				return false
			default:
				told++
			}
		}
	}
	return told > 0
}

func whyNoEndpoints(s *cluster.Snapshot, service *corev1.Service, selected []*cluster.Workload, all int) string {
	if len(selected) == 0 {
		return fmt.Sprintf("no endpoint: it selects %s, which none of the %d workloads of namespace %s is", selectorWords(service), len(s.WorkloadsIn(service.Namespace)), service.Namespace)
	}
	names := make([]string, 0, len(selected))
	pods := 0
	for _, w := range selected {
		names, pods = append(names, w.Owner.String()), pods+len(w.Pods)
	}
	names = distinct(names)
	if len(names) > 3 {
		names = append(names[:3], "…")
	}
	return fmt.Sprintf("no ready endpoint of %d: none of the %d pods of %v is ready", all, pods, names)
}

// undeclaredPorts are target ports by a name that no selected workload has.
func undeclaredPorts(ref cluster.Ref, service *corev1.Service, selected []*cluster.Workload) []practice.Finding {
	var findings []practice.Finding
	for i, port := range service.Spec.Ports {
		if port.TargetPort.Type != intstr.String || port.TargetPort.StrVal == "" || len(selected) == 0 {
			continue
		}
		if !slices.ContainsFunc(selected, func(w *cluster.Workload) bool { return declares(w, port.TargetPort.StrVal) }) {
			findings = append(findings, practice.On(ref, fmt.Sprintf("spec.ports[%d].targetPort", i), "port %d goes to %q, and no container of %s declares a port of that name",
				port.Port, port.TargetPort.StrVal, selected[0].Owner.String()))
		}
	}
	return findings
}

func declares(w *cluster.Workload, name string) bool {
	for c := range w.Containers() {
		if slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name }) {
			return true
		}
	}
	return false
}
