package resources

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// MemoryRequestUnset finds containers for which no memory is reserved.
//
// A container without a memory request is placed on nodes that have none left,
// and is the first to be evicted there: the kubelet ranks pods for eviction by
// how far they exceed their requests, and the kernel kills likewise.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
func MemoryRequestUnset() practice.Practice {
	return practice.Practice{
		ID:       "memory-request-unset",
		Title:    "Container without a memory request",
		Chapter:  practice.Resources,
		Severity: report.Warning,
		Reason: "A container without a memory request is placed on nodes that have no memory left, and is the first to be evicted there: " +
			"the kubelet ranks pods for eviction by how far they exceed their requests.",
		Judged: requestJudged,
		Fix:    "set resources.requests.memory to the container's ordinary working set; kubectl top pod --containers shows what it uses now",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
			"https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#pod-selection-for-kubelet-eviction",
		},
		Judges: cluster.WorkloadKinds(),
		Uses:   []cluster.Kind{cluster.LimitRanges},
		Remedy: &practice.Remedy{
			Does:    "sets resources.requests.memory to half more than the fullest pod uses, at least 32Mi; " + sizedWhen,
			Uses:    sizingKinds(),
			Propose: setRequest(corev1.ResourceMemory),
		},
		Check: requestUnset(corev1.ResourceMemory),
	}
}
