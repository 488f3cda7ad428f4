package resources

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// CPURequestUnset finds containers for which no CPU is reserved.
//
// The scheduler places pods by their requests alone, and a busy node shares
// its CPU out in proportion to them: a container without one is placed
// anywhere, and gets the least wherever it lands. An autoscaler on CPU
// utilisation cannot work without it.
// https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
func CPURequestUnset() practice.Practice {
	return practice.Practice{
		ID:       "cpu-request-unset",
		Title:    "Container without a CPU request",
		Chapter:  practice.Resources,
		Severity: report.Warning,
		Reason: "The scheduler places pods by their requests alone, and a busy node shares its CPU out in proportion to them. " +
			"A container without a request is placed anywhere, and gets the least wherever it lands; an autoscaler on CPU utilisation cannot work without it.",
		Judged: requestJudged,
		Fix:    "set resources.requests.cpu to what the container uses at an ordinary peak; kubectl top pod --containers shows what it uses now",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
			"https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details",
		},
		Judges: cluster.WorkloadKinds(),
		Uses:   []cluster.Kind{cluster.LimitRanges},
		Remedy: &practice.Remedy{
			Does:    "sets resources.requests.cpu to half more than the fullest pod uses, at least 10m; " + sizedWhen,
			Uses:    sizingKinds(),
			Propose: setRequest(corev1.ResourceCPU),
		},
		Check: requestUnset(corev1.ResourceCPU),
	}
}
