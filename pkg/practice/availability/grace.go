package availability

import (
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// graceSources are where all three practices on the grace period come from.
func graceSources() []string {
	return []string{
		"https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
		"https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/#hook-handler-execution",
	}
}

// GracePeriodZero finds pods that are killed without a word.
//
// With a grace period of 0 no SIGTERM is sent and no preStop hook runs: requests
// in flight are cut off, and what is not on disk is lost.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
func GracePeriodZero() practice.Practice {
	return practice.Practice{
		ID:       "grace-period-zero",
		Title:    "Pods that are killed without a grace period",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Reason: "With a grace period of 0 no SIGTERM is sent and no preStop hook runs: requests in flight are cut off, what is not on disk is lost, " +
			"and a StatefulSet's next pod may start while the old one still runs.",
		Judged:  "terminationGracePeriodSeconds of each workload's template.",
		Fix:     "leave terminationGracePeriodSeconds out, for 30 s, or set what the program needs to end",
		Sources: append(graceSources(), "https://kubernetes.io/docs/tasks/run-application/force-delete-stateful-set-pod/"),
		Judges:  cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does:    "sets terminationGracePeriodSeconds to 30, the API server's default, plus what a preStop hook sleeps",
			Propose: mend.Workload(fitGrace),
		},
		Check: practice.EachWorkload(nil, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			if grace := w.Template.Spec.TerminationGracePeriodSeconds; grace == nil || *grace > 0 {
				return nil
			}
			return []practice.Finding{practice.On(w.Owner, w.TemplatePath+".terminationGracePeriodSeconds", "is 0: its containers are killed without SIGTERM")}
		}),
	}
}

// GraceBelowPreStop finds hooks that have no time to end.
//
// The grace period counts from before the preStop hook. A hook that sleeps for
// as long as the period leaves the container nothing but SIGKILL.
// https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/#hook-handler-execution
func GraceBelowPreStop() practice.Practice {
	return practice.Practice{
		ID:       "grace-below-prestop",
		Title:    "Grace period that ends before the preStop hook",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Reason:   "The grace period begins before the preStop hook. A hook that sleeps for as long as the period lasts leaves the program no time after SIGTERM: it is killed in the middle of its work each time.",
		Judged: "Containers with a preStop hook of kind sleep, or that runs sleep with a number: the sleep must be shorter than terminationGracePeriodSeconds, 30 where it is not set. " +
			"How long other hooks take cannot be seen.",
		Fix:     "raise terminationGracePeriodSeconds above the hook's sleep plus the time that the program needs to end",
		Sources: graceSources(),
		Judges:  cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does:    "sets terminationGracePeriodSeconds to what the longest preStop hook sleeps plus 30",
			Propose: mend.Workload(fitGrace),
		},
		Check: practice.EachContainer(func(_ *cluster.Snapshot, c cluster.Container) []practice.Finding {
			sleep, grace := preStopSleep(c.Container), graceOf(c.Workload)
			if sleep == 0 || grace == 0 || sleep < grace { // a grace of 0 is grace-period-zero's
				return nil
			}
			return []practice.Finding{practice.On(c.Workload.Owner, c.Path+".lifecycle.preStop", "container %q sleeps for %d s before it ends, and is killed after %d s", c.Name, sleep, grace)}
		}),
	}
}

// GraceExcessive finds pods that hold up every drain.
//
// A drain waits for each pod. A program that does not heed SIGTERM takes its
// whole grace period; the cluster autoscaler waits for ten minutes at most.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
func GraceExcessive() practice.Practice {
	return practice.Practice{
		ID:         "grace-excessive",
		Title:      "Grace period of more than ten minutes",
		Chapter:    practice.Availability,
		Severity:   report.Info,
		Reason:     "A drain waits for each pod until it ends. Where one may take longer than ten minutes, upgrades crawl, and the cluster autoscaler takes the node away before.",
		Judged:     "terminationGracePeriodSeconds above 600 in each workload's template, Jobs and CronJobs excepted.",
		Fix:        "let the program end sooner after SIGTERM, or move long work into Jobs",
		Sources:    append(graceSources(), "https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md (max-graceful-termination-sec)"),
		Judges:     cluster.WorkloadKinds(),
		Thresholds: practice.Thresholds{{Name: "seconds", Value: 600, Meaning: "above which a pod may outlast a node's removal; the cluster autoscaler waits that long"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			return practice.EachWorkload(staysUp, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				if grace := graceOf(w); float64(grace) > by.Of("seconds") {
					return []practice.Finding{practice.On(w.Owner, w.TemplatePath+".terminationGracePeriodSeconds", "each of its pods may take %d minutes to end", grace/60)}
				}
				return nil
			})(s)
		},
	}
}

// fitGrace leaves a program the API server's default after the longest hook.
func fitGrace(_ *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	longest := int64(0)
	for c := range w.Containers() {
		longest = max(longest, preStopSleep(c.Container))
	}
	return practice.Propose(mend.Edit(w, change.Set(longest+corev1.DefaultTerminationGracePeriodSeconds, mend.InTemplate(w, "terminationGracePeriodSeconds")...))).
		Because("%d s of preStop sleep, and %d s for the program to end after SIGTERM", longest, corev1.DefaultTerminationGracePeriodSeconds)
}

// staysUp reports whether a Workload's pods are meant to run on.
func staysUp(w *cluster.Workload) bool { return w.Self.Kind != "Job" && w.Self.Kind != "CronJob" }

// graceOf is a template's grace period in seconds, with the API server's default.
func graceOf(w *cluster.Workload) int64 {
	if grace := w.Template.Spec.TerminationGracePeriodSeconds; grace != nil {
		return *grace
	}
	return corev1.DefaultTerminationGracePeriodSeconds
}

// preStopSleep is for how many seconds a preStop hook is seen to sleep.
func preStopSleep(c *corev1.Container) int64 {
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil {
		return 0
	}
	if hook := c.Lifecycle.PreStop; hook.Sleep != nil {
		return hook.Sleep.Seconds
	} else if hook.Exec != nil {
		if found := regexp.MustCompile(`(?:^|[\s;&/])sleep\s+(\d+)\b`).FindStringSubmatch(strings.Join(hook.Exec.Command, " ")); found != nil {
			if seconds, err := strconv.ParseInt(found[1], 10, 64); err == nil {
				return seconds
			}
		}
	}
	return 0
}
