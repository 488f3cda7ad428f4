package resources

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// HPAWithoutRequests finds autoscalers that compute a share of nothing.
//
// Utilisation is use divided by request. One container without a request, a
// forgotten sidecar for instance, is enough: the controller then has no figure
// for the pod, and never scales.
// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
func HPAWithoutRequests() practice.Practice {
	return practice.Practice{
		ID:       "hpa-without-requests",
		Title:    "Autoscaler on utilisation of containers without a request",
		Chapter:  practice.Resources,
		Severity: report.Critical,
		Reason: "Utilisation is use divided by request. One container without a request, such as a forgotten sidecar, is enough: " +
			"the controller then has no figure for the pod, and never scales.",
		Judged: "Each HorizontalPodAutoscaler with a metric of type Utilization, or with none, which means 80 % of CPU: every container of its target's template, sidecars included, " +
			"must request the resource; of a metric on one container, that container. A LimitRange's default and a request of the pod as a whole count.",
		Fix: "set the request on the containers that the message names, or scale on AverageValue",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details",
			"https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/podautoscaler/replica_calculator.go (calculatePodRequests)",
		},
		Needs:  []cluster.Kind{cluster.Autoscalers},
		Judges: []cluster.Kind{cluster.Deployments, cluster.StatefulSets, cluster.Pods},
		Uses:   []cluster.Kind{cluster.LimitRanges},
		Remedy: &practice.Remedy{
			Does:    "sets the request that the autoscaler divides by on each container of its target that lacks it, as cpu-request-unset and memory-request-unset do",
			Uses:    sizingKinds(),
			Propose: requestForAutoscaler,
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			targets := scaledBy(s)
			for _, hpa := range s.Autoscalers {
				w := targets[hpa]
				if w == nil {
					continue
				}
				v.Judged = append(v.Judged, scalerRef(hpa))
				v.Findings = append(v.Findings, unrequested(s, hpa, w)...)
			}
			return v
		},
	}
}

// utilisation is a metric that is divided by a request.
type utilisation struct {
	path      string
	resource  corev1.ResourceName
	container string // "" for the whole pod
}

func utilisations(hpa *autoscalingv2.HorizontalPodAutoscaler) []utilisation {
	if len(hpa.Spec.Metrics) == 0 { // the API server defaults to 80 % of CPU
		return []utilisation{{"spec.metrics", corev1.ResourceCPU, ""}}
	}
	var all []utilisation
	for i, m := range hpa.Spec.Metrics {
		switch {
		case m.Resource != nil && m.Resource.Target.Type == autoscalingv2.UtilizationMetricType:
			all = append(all, utilisation{fmt.Sprintf("spec.metrics[%d].resource", i), m.Resource.Name, ""})
		case m.ContainerResource != nil && m.ContainerResource.Target.Type == autoscalingv2.UtilizationMetricType:
			all = append(all, utilisation{fmt.Sprintf("spec.metrics[%d].containerResource", i), m.ContainerResource.Name, m.ContainerResource.Container})
		}
	}
	return all
}

// unrequested finds the metrics of an autoscaler that have no request to be
// divided by.
func unrequested(s *cluster.Snapshot, hpa *autoscalingv2.HorizontalPodAutoscaler, w *cluster.Workload) []practice.Finding {
	var findings []practice.Finding
	for _, u := range utilisations(hpa) {
		if u.container == "" && podRequests(w, u.resource) {
			continue
		}
		for c := range w.Containers() {
			if _, requested := s.Resources(c).Requests[u.resource]; requested || c.Init || (u.container != "" && u.container != c.Name) {
				continue
			}
			findings = append(findings, practice.On(scalerRef(hpa), u.path,
				"scales on the utilisation of %s, and container %q of %s %s requests none: it cannot be computed", spoken(u.resource), c.Name, w.Self.Kind, w.Self.Name))
		}
	}
	return findings
}
