package resources

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// EphemeralStorageUnset finds containers that may fill their node's disk.
//
// What a container writes outside of volumes, and into an emptyDir, lies on the
// node's own disk. When that is full the kubelet evicts pods, those first that
// use more than they requested, and without a request that is any byte.
// https://kubernetes.io/docs/concepts/storage/ephemeral-storage/
func EphemeralStorageUnset() practice.Practice {
	return practice.Practice{
		ID:       "ephemeral-storage-unset",
		Title:    "Container that may fill its node's disk",
		Chapter:  practice.Resources,
		Severity: report.Info,
		Reason: "What a container writes outside of volumes, and into an emptyDir, lies on its node's own disk. When that is full, the kubelet evicts pods, " +
			"first those that use more than they requested: without a request, that is any byte.",
		Judged: "Each workload's template: containers that can write to the disk of their node, since their root filesystem is not read-only or they mount an emptyDir " +
			"without sizeLimit, must request or limit ephemeral-storage. A LimitRange counts. Logs are not: the kubelet rotates them.",
		Fix: "set resources.requests and limits of ephemeral-storage, or make the root filesystem read-only and give each emptyDir a sizeLimit",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/storage/ephemeral-storage/",
			"https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#pod-selection-for-kubelet-eviction",
		},
		Judges: cluster.WorkloadKinds(),
		Uses:   []cluster.Kind{cluster.LimitRanges},
		Check: practice.EachWorkload(nil, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			var named []string
			for c := range w.Containers() {
				if !c.Init && writesToDisk(c) && !boundsDisk(s, c) {
					named = append(named, `"`+c.Name+`"`)
				}
			}
			if len(named) == 0 {
				return nil
			}
			noun := "container"
			if len(named) > 1 {
				noun = "containers"
			}
			return []practice.Finding{practice.On(w.Owner, w.TemplatePath,
				"%s %s can write to the node's disk and set neither a request nor a limit of ephemeral-storage", noun, strings.Join(named, ", "))}
		}),
	}
}

func boundsDisk(s *cluster.Snapshot, c cluster.Container) bool {
	effective := s.Resources(c)
	_, requested := effective.Requests[corev1.ResourceEphemeralStorage]
	_, limited := effective.Limits[corev1.ResourceEphemeralStorage]
	return requested || limited
}

// writesToDisk reports whether what a container writes can end up on its node's
// own disk.
func writesToDisk(c cluster.Container) bool {
	if own := c.SecurityContext; own == nil || own.ReadOnlyRootFilesystem == nil || !*own.ReadOnlyRootFilesystem {
		return true
	}
	return slices.ContainsFunc(c.Workload.Template.Spec.Volumes, func(v corev1.Volume) bool {
		onDisk := v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumDefault && v.EmptyDir.SizeLimit == nil
		return onDisk && slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name && !m.ReadOnly })
	})
}
