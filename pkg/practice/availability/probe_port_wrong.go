package availability

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ProbePortWrong finds probes of a port that does not exist.
//
// A probe names a port of its own container. A name that the container does not
// declare never resolves, so that the probe fails for ever.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#use-a-named-port
func ProbePortWrong() practice.Practice {
	return practice.Practice{
		ID:       "probe-port-wrong",
		Title:    "Probe of a port that the container does not declare",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "A probe names a port of its own container. A name that the container does not declare never resolves: a readiness probe keeps the pod out of traffic for ever, " +
			"a liveness probe restarts it for ever.",
		Judged: "The httpGet and tcpSocket ports of each container's startup, liveness and readiness probes that are names: the same container must declare a port of that name. " +
			"Numbers need no declaration and are not judged.",
		Fix: "name a port of the container, or give the number",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#use-a-named-port",
			"https://github.com/kubernetes/kubernetes/blob/master/pkg/probe/util.go (ResolveContainerPort)",
		},
		Judges: cluster.WorkloadKinds(),
		Check: practice.EachContainer(func(_ *cluster.Snapshot, c cluster.Container) []practice.Finding {
			var findings []practice.Finding
			for _, p := range []struct {
				field string
				probe *corev1.Probe
			}{{"startupProbe", c.StartupProbe}, {"livenessProbe", c.LivenessProbe}, {"readinessProbe", c.ReadinessProbe}} {
				name, path := probedName(p.probe)
				if name != "" && !slices.ContainsFunc(c.Ports, func(own corev1.ContainerPort) bool { return own.Name == name }) {
					findings = append(findings, practice.On(c.Workload.Owner, c.Path+"."+p.field+path, "container %q has no port named %q", c.Name, name))
				}
			}
			return findings
		}),
	}
}

// probedName is the port that a probe gives by name, and where.
func probedName(p *corev1.Probe) (name, path string) {
	switch {
	case p == nil:
	case p.HTTPGet != nil && p.HTTPGet.Port.Type == intstr.String:
		return p.HTTPGet.Port.StrVal, ".httpGet.port"
	case p.TCPSocket != nil && p.TCPSocket.Port.Type == intstr.String:
		return p.TCPSocket.Port.StrVal, ".tcpSocket.port"
	}
	return "", ""
}
