package availability

import (
	"cmp"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// LivenessEqualsReadiness finds containers that are killed for being busy.
//
// Readiness takes a container out of traffic, liveness kills it. Where both ask
// the same question with the same patience, an overloaded pod is restarted
// instead of relieved, and its load kills the next.
// https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
func LivenessEqualsReadiness() practice.Practice {
	return practice.Practice{
		ID:       "liveness-equals-readiness",
		Title:    "Liveness probe as impatient as the readiness probe it repeats",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "Readiness takes a container out of traffic; liveness kills it. Where both ask the same question with the same patience, " +
			"an overloaded or waiting pod is restarted instead of relieved, and its load falls on the next.",
		Judged: "Each container with both probes: the same handler, and a liveness probe that gives up (failureThreshold × periodSeconds) no later than the readiness probe. " +
			"The same handler with more patience is what Kubernetes recommends, and passes.",
		Fix: "raise livenessProbe.failureThreshold, or let it ask only whether the process is stuck",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/#liveness-probe",
			"https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
		},
		Judges: cluster.WorkloadKinds(),
		Check: practice.EachContainer(func(_ *cluster.Snapshot, c cluster.Container) []practice.Finding {
			if c.LivenessProbe == nil || c.ReadinessProbe == nil || !equality.Semantic.DeepEqual(c.LivenessProbe.ProbeHandler, c.ReadinessProbe.ProbeHandler) {
				return nil
			}
			killed, relieved := patience(c.LivenessProbe), patience(c.ReadinessProbe)
			if killed > relieved {
				return nil
			}
			return []practice.Finding{practice.On(c.Workload.Owner, c.Path+".livenessProbe",
				"container %q is killed after %s of failing the probe that takes it out of traffic after %s", c.Name, killed, relieved)}
		}),
	}
}

// patience is how long a probe fails before it counts, with the API server's
// defaults for what is not set.
func patience(p *corev1.Probe) time.Duration {
	return time.Duration(cmp.Or(p.FailureThreshold, 3)*cmp.Or(p.PeriodSeconds, 10)) * time.Second
}
