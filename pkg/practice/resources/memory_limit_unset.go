package resources

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// MemoryLimitUnset finds containers that may use a node's whole memory.
//
// Memory cannot be throttled: when a node runs out, the kernel kills, and not
// always the container that leaked. A limit turns a leak that takes a node
// down into the restart of one container.
// https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
func MemoryLimitUnset() practice.Practice {
	return practice.Practice{
		ID:       "memory-limit-unset",
		Title:    "Container without a memory limit",
		Chapter:  practice.Resources,
		Severity: report.Warning,
		Reason: "Memory cannot be throttled: when a node runs out of it, the kernel kills, and not always the container that leaked. " +
			"A limit turns a leak that takes a node down into the restart of one container.",
		Judged: "Each container of each workload's template, init containers included. A LimitRange that sets a default limit in the namespace counts, and so does a limit of the pod as a whole.",
		Fix:    "set resources.limits.memory above the container's peak, with a margin",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
		},
		Judges: cluster.WorkloadKinds(),
		Uses:   []cluster.Kind{cluster.LimitRanges},
		Remedy: &practice.Remedy{
			Does:    "sets resources.limits.memory to twice what the fullest pod uses, at least 64Mi and never below the request; " + sizedWhen + ", or it was OOMKilled",
			Uses:    sizingKinds(),
			Propose: sizer(setLimit),
		},
		Check: practice.EachContainer(func(s *cluster.Snapshot, c cluster.Container) []practice.Finding {
			if _, set := s.Resources(c).Limits[corev1.ResourceMemory]; set || podLimits(c.Workload, corev1.ResourceMemory) {
				return nil
			}
			return []practice.Finding{practice.On(c.Workload.Owner, c.Path+".resources.limits.memory",
				"container %q has no memory limit", c.Name)}
		}),
	}
}
