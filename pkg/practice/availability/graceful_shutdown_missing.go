package availability

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// GracefulShutdownMissing finds served containers that end in mid-sentence.
//
// Endpoints and SIGTERM travel at the same time: for some seconds after the
// signal requests still arrive. A program that exits at once, or that never
// hears the signal because a shell stands before it, drops them.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
func GracefulShutdownMissing() practice.Practice {
	return practice.Practice{
		ID:       "graceful-shutdown-missing",
		Title:    "Served container without a graceful end",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "A pod's end is told to its program and to the load balancers at the same time, so that requests arrive for some seconds after SIGTERM. " +
			"A program that exits at once, or never hears the signal because a shell stands before it, drops them at each rollout and drain.",
		Judged: "The containers at which a Service's ports end, without a preStop hook. A warning where something shows that SIGTERM is not heeded: a shell is process 1 and does not exec the program, " +
			"or live the last end was by SIGKILL (exit code 137, not for want of memory). Otherwise an info, since a program may well wait by itself, which cannot be seen from here.",
		Fix: "add lifecycle.preStop.sleep.seconds: 5 to the container, and let the program end on SIGTERM",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
			"https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/",
			"https://kubernetes.io/docs/tutorials/services/pods-and-endpoint-termination-flow/",
		},
		Needs:  []cluster.Kind{cluster.Services},
		Judges: cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does: "adds lifecycle.preStop.sleep.seconds: 5, which needs no shell in the image, and raises terminationGracePeriodSeconds where it leaves less than 10 s after it; " +
				"needs Kubernetes 1.30",
			Propose: mend.Container(sleepBeforeEnd),
		},
		Check: practice.EachWorkload(answers, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			var findings []practice.Finding
			for _, c := range servedContainers(w) {
				at := c.Path + ".lifecycle.preStop"
				switch {
				case c.Lifecycle != nil && c.Lifecycle.PreStop != nil:
				case hidesBehindShell(c.Container.Container):
					findings = append(findings, practice.On(w.Owner, at, "container %q has no preStop hook, and runs under a shell that passes no SIGTERM on", c.Name).
						Mended("start the program with exec, and add lifecycle.preStop.sleep.seconds: 5"))
				case wasKilled(w, c.Name) > 0:
					findings = append(findings, practice.On(w.Owner, at, "container %q has no preStop hook, and was last ended by SIGKILL (exit code 137) in %d of %d pods", c.Name, wasKilled(w, c.Name), len(w.Pods)))
				default:
					findings = append(findings, practice.On(w.Owner, at, "container %q has no preStop hook: requests that arrive after SIGTERM depend on the program alone", c.Name).As(report.Info))
				}
			}
			return findings
		}),
	}
}

// hidesBehindShell reports whether process 1 is a shell that waits for the
// program: sh -c with a script that does not exec. A script of one plain command
// is replaced by it in most shells.
func hidesBehindShell(c *corev1.Container) bool {
	run := slices.Concat(c.Command, c.Args)
	if len(run) < 3 || !slices.Contains([]string{"sh", "bash", "ash", "dash"}, path.Base(run[0])) || !strings.HasPrefix(run[1], "-") || !strings.HasSuffix(run[1], "c") {
		return false
	}
	script := run[2]
	return strings.ContainsAny(strings.TrimSpace(script), ";&|\n") && !strings.Contains(script, "exec ") && !strings.Contains(script, "trap ")
}

// wasKilled counts the pods in which a container's last end was by SIGKILL for
// another reason than memory.
func wasKilled(w *cluster.Workload, container string) int {
	n := 0
	for _, pod := range w.Pods {
		for i := range pod.Status.ContainerStatuses {
			status := &pod.Status.ContainerStatuses[i]
			last := status.LastTerminationState.Terminated
			if status.Name == container && last != nil && last.ExitCode == 137 && last.Reason != "OOMKilled" {
				n++
			}
		}
	}
	return n
}

const (
	// drained is how long endpoints take to be told that a pod ends, generously.
	drained = 5
	// toEnd is the least that a program is left after its preStop hook.
	toEnd = 10
)

// sleepBeforeEnd keeps a container up until no more requests arrive.
func sleepBeforeEnd(s *cluster.Snapshot, c cluster.Container, _ practice.Finding) practice.Proposal {
	w := c.Workload
	if mend.Before(s, "1.30") {
		return practice.Refuse("Kubernetes %s has no preStop sleep, which came with 1.30, and whether the image has a sleep of its own is not known", s.Origin.Version)
	}
	edits := []change.Edit{change.Set(map[string]any{"sleep": map[string]any{"seconds": int64(drained)}}, mend.InContainer(c, "lifecycle", "preStop")...)}
	if graceOf(w) < drained+toEnd {
		edits = append(edits, change.Set(int64(drained+corev1.DefaultTerminationGracePeriodSeconds), mend.InTemplate(w, "terminationGracePeriodSeconds")...))
	}
	proposal := practice.Propose(mend.Edit(w, edits...)).Because("endpoints are told within some seconds that a pod ends; %d s cover them", drained)
	if hidesBehindShell(c.Container) {
		return proposal.Risking("its shell still passes no SIGTERM on: start the program with exec, too")
	}
	return proposal
}
