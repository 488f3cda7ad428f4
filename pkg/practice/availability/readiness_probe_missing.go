package availability

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ReadinessProbeMissing finds containers that get traffic before they can
// answer.
//
// Without a readiness probe a container counts as ready once its process runs:
// each rollout sends requests to programs that are still starting, and goes on
// to stop the old pods before the new ones have proved that they work.
// https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
func ReadinessProbeMissing() practice.Practice {
	return practice.Practice{
		ID:       "readiness-probe-missing",
		Title:    "Served container without a readiness probe",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "Without a readiness probe a container counts as ready once its process runs. Each rollout sends requests to programs that are still starting, " +
			"and stops the old pods before the new ones have proved that they work.",
		Judged: "The containers at which a Service's target ports end: by port name, or by a declared container port; where none declares it, all that stay running. " +
			"Exempt are Jobs, and Knative's pods, which its own proxy probes.",
		Fix: "add a readinessProbe that asks the container whether it can answer, on the port that is served",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/",
			"https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
		},
		Needs:  []cluster.Kind{cluster.Services},
		Judges: cluster.WorkloadKinds(),
		Check: practice.EachWorkload(answers, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			var findings []practice.Finding
			for _, served := range servedContainers(w) {
				if served.ReadinessProbe == nil {
					findings = append(findings, practice.On(w.Owner, served.Path+".readinessProbe",
						"container %q has no readiness probe, and Service %s sends it traffic", served.Name, served.service))
				}
			}
			return findings
		}),
	}
}

// answers reports whether a Workload stays and serves.
func answers(w *cluster.Workload) bool {
	_, knative := w.Meta.Labels["serving.knative.dev/revision"]
	return w.IsServed() && !knative && w.Self.Kind != "Job" && w.Self.Kind != "CronJob"
}

// served is a container and the first Service found to send it traffic.
type served struct {
	cluster.Container
	service string
}

// servedContainers are those at which some Service's ports end.
func servedContainers(w *cluster.Workload) []served {
	var found []served
	for _, service := range w.Services {
		for _, c := range behind(service, w) {
			if !slices.ContainsFunc(found, func(f served) bool { return f.Path == c.Path }) {
				found = append(found, served{c, service.Name})
			}
		}
	}
	return found
}

// behind are the containers at which a Service's ports end; when no container
// declares one of them, which none has to, all that stay running.
func behind(service *corev1.Service, w *cluster.Workload) []cluster.Container {
	var all, targets []cluster.Container
	for c := range w.Containers() {
		if c.Init {
			continue
		}
		all = append(all, c)
		if slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return opens(c, p) }) {
			targets = append(targets, c)
		}
	}
	if len(targets) == 0 {
		return all
	}
	return targets
}

// opens reports whether a container declares the port that a Service targets;
// a target that is not set is the Service's own port.
func opens(c cluster.Container, p corev1.ServicePort) bool {
	return slices.ContainsFunc(c.Ports, func(own corev1.ContainerPort) bool {
		switch {
		case p.TargetPort.Type == intstr.String && p.TargetPort.StrVal != "":
			return own.Name == p.TargetPort.StrVal
		case p.TargetPort.IntVal != 0:
			return own.ContainerPort == p.TargetPort.IntVal
		default:
			return own.ContainerPort == p.Port
		}
	})
}
