package availability

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// slowStart is the initial delay, in seconds, from which a container counts as
// slow to start: what the default startup probe would wait.
const slowStart = 30

// SlowStartWithoutStartupProbe finds guesses of how long a start takes.
//
// An initial delay is a guess. On a busy node the start takes longer and the
// container is killed in the middle of it, again and again; on a fast one the
// delay is time in which a hang goes unseen.
// https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/#startup-probe
func SlowStartWithoutStartupProbe() practice.Practice {
	return practice.Practice{
		ID:       "slow-start-without-startup-probe",
		Title:    "Slow start guarded by an initial delay instead of a startup probe",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "An initial delay is a guess of how long a start takes. On a busy node it takes longer and the container is killed in the middle of it, again and again; " +
			"on a fast one a hang goes unseen for as long.",
		Judged: "Each container whose livenessProbe has an initialDelaySeconds of 30 or more and which has no startupProbe.",
		Fix:    "add a startupProbe with the liveness probe's handler and a generous failureThreshold, and drop initialDelaySeconds",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/#startup-probe",
			"https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#define-startup-probes",
		},
		Judges: cluster.WorkloadKinds(),
		Check: practice.EachContainer(func(_ *cluster.Snapshot, c cluster.Container) []practice.Finding {
			if c.LivenessProbe == nil || c.StartupProbe != nil || c.LivenessProbe.InitialDelaySeconds < slowStart {
				return nil
			}
			return []practice.Finding{practice.On(c.Workload.Owner, c.Path+".livenessProbe.initialDelaySeconds",
				"container %q gets %d s to start, by guess, and is killed if it then fails its liveness probe for %s", c.Name, c.LivenessProbe.InitialDelaySeconds, patience(c.LivenessProbe))}
		}),
	}
}
