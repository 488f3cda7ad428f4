package resources

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// CPULimitUnset finds containers that may use a node's whole CPU.
//
// Whether that is wrong is a matter of opinion, so it is judged only when
// asked for: CPU is shared out by requests when it is short, so a limit
// protects nobody who has set one, and it throttles a container while the node
// idles. Who sells CPU, or wants the same latency every day, sets limits.
// https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
func CPULimitUnset() practice.Practice {
	return practice.Practice{
		ID:       "cpu-limit-unset",
		Title:    "Container without a CPU limit",
		Chapter:  practice.Resources,
		Severity: report.Info,
		Optional: true,
		Reason: "A container without a CPU limit uses what is idle on its node, so that it is faster on an empty node than on a full one. " +
			"Many leave it unset on purpose: a busy node shares its CPU out by requests anyway, and a limit throttles a container while the node idles. " +
			"Set limits where tenants pay for CPU, or where latency has to be the same every day.",
		Judged: "Each container of each workload's template, init containers included. A LimitRange that sets a default limit in the namespace counts, and so does a limit of the pod as a whole.",
		Fix:    "set resources.limits.cpu if this cluster wants them; else leave this practice off, as it is by default",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#how-pods-with-resource-limits-are-run",
		},
		Judges: cluster.WorkloadKinds(),
		Uses:   []cluster.Kind{cluster.LimitRanges},
		Check: practice.EachContainer(func(s *cluster.Snapshot, c cluster.Container) []practice.Finding {
			if _, set := s.Resources(c).Limits[corev1.ResourceCPU]; set || podLimits(c.Workload, corev1.ResourceCPU) {
				return nil
			}
			return []practice.Finding{practice.On(c.Workload.Owner, c.Path+".resources.limits.cpu",
				"container %q has no CPU limit", c.Name)}
		}),
	}
}
