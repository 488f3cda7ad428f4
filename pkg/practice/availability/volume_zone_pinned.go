package availability

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// VolumeZonePinned finds replicas whose volumes are all in one zone.
//
// A zonal disk cannot leave its zone, and its pod cannot leave it. Replicas
// whose disks were all made in one zone stay there whatever their rules say.
// https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
func VolumeZonePinned() practice.Practice {
	return practice.Practice{
		ID:       "volume-zone-pinned",
		Title:    "Replicas held in one zone by their volumes",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason: "A zonal disk cannot leave its zone, and its pod cannot leave it. Replicas whose disks were all made in one zone stay there, " +
			"whatever their topology spread constraints say, and go down with it.",
		Judged: "Deployments and StatefulSets with at least 2 pods that mount PersistentVolumes, in a cluster of several zones: by the zones that the volumes' node affinity allows. " +
			"A volume without node affinity can follow its pod.",
		Fix: "use a StorageClass with volumeBindingMode: WaitForFirstConsumer and a topology spread over zones, then rebuild the replicas' volumes one by one",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode",
			"https://kubernetes.io/docs/setup/best-practices/multiple-zones/#storage-access-for-zones",
		},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods, cluster.Nodes, cluster.Claims, cluster.Volumes},
		Judges:   []cluster.Kind{cluster.Deployments, cluster.StatefulSets},
		Uses:     []cluster.Kind{cluster.ReplicaSets, cluster.Autoscalers},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			zones := s.Zones()
			if len(zones) < 2 {
				return practice.Verdict{}
			}
			applies := func(w *cluster.Workload) bool { return runsSeveral(w) && slices.ContainsFunc(w.Pods, hasClaim) }
			return practice.EachWorkload(applies, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				zone := pinnedZone(s, w)
				if zone == "" {
					return nil
				}
				return []practice.Finding{practice.On(w.Owner, "", "the volumes of all %d pods are in zone %s, one of %d, and hold them there", len(w.Pods), zone, len(zones))}
			})(s)
		},
	}
}

func hasClaim(pod *cluster.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return cluster.ClaimOf(pod.Name, &v) != "" })
}

// pinnedZone is the one zone that the volumes of all of at least two pods
// allow; "" when there is no such zone.
func pinnedZone(s *cluster.Snapshot, w *cluster.Workload) string {
	pinned, pods := "", 0
	for _, pod := range w.Pods {
		if !stays(pod) {
			continue
		}
		zone := zoneOfVolumes(s, pod)
		if zone == "" || (pinned != "" && zone != pinned) {
			return ""
		}
		pinned, pods = zone, pods+1
	}
	if pods < 2 {
		return ""
	}
	return pinned
}

// zoneOfVolumes is the one zone that some volume of a pod allows.
func zoneOfVolumes(s *cluster.Snapshot, pod *cluster.Pod) string {
	for i := range pod.Spec.Volumes {
		claim := s.Claim(pod.Namespace, cluster.ClaimOf(pod.Name, &pod.Spec.Volumes[i]))
		if claim == nil {
			continue
		}
		if volume := s.Volume(claim.Spec.VolumeName); volume != nil {
			if zones := volumeZones(volume); len(zones) == 1 {
				return zones[0]
			}
		}
	}
	return ""
}

// volumeZones are the zones that a volume's node affinity allows.
func volumeZones(volume *corev1.PersistentVolume) []string {
	var zones []string
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return nil
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Operator == corev1.NodeSelectorOpIn && isZoneLabel(e.Key) {
				zones = append(zones, e.Values...)
			}
		}
	}
	return distinct(zones)
}

// isZoneLabel reports whether a node label names a zone: Kubernetes' own, the
// deprecated one, or a CSI driver's.
func isZoneLabel(key string) bool {
	return slices.Contains([]string{
		corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone,
		"topology.ebs.csi.aws.com/zone", "topology.gke.io/zone", "topology.disk.csi.azure.com/zone",
	}, key)
}
