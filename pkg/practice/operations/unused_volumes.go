package operations

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// UnusedPVC finds claims that no pod mounts.
//
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/
func UnusedPVC() practice.Practice {
	return practice.Practice{
		ID:       "unused-pvc",
		Title:    "PersistentVolumeClaim that nothing mounts",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "A volume that nothing mounts is paid for each month, and its data is the kind that nobody backs up and nobody dares to delete.",
		Judged: "Each PersistentVolumeClaim older than a minute, the platform's excepted: no pod, no template of a workload (CronJobs and those at zero included) and no StatefulSet's volumeClaimTemplates, " +
			"also above its present number of replicas, names it. Exempt are claims with an owner.",
		Fix:      "take a snapshot, then delete it",
		Sources:  []string{"https://kubernetes.io/docs/concepts/storage/persistent-volumes/#lifecycle-of-a-volume-and-claim"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Claims, cluster.Pods, cluster.Deployments, cluster.StatefulSets, cluster.DaemonSets, cluster.Jobs, cluster.CronJobs},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			mounted, ofSets := claimUses(s)
			for _, claim := range s.Claims {
				if cluster.IsPlatform(claim.Namespace) || len(claim.OwnerReferences) > 0 || young(s.Time, claim.CreationTimestamp) {
					continue
				}
				ref := cluster.RefOf("v1", "PersistentVolumeClaim", &claim.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if !mounted[key{claim.Namespace, claim.Name}] && !ofSets[key{claim.Namespace, withoutOrdinal(claim.Name)}] {
					size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
					v.Findings = append(v.Findings, practice.On(ref, "", "nothing mounts it; it holds %s%s", size.String(), old(s.Time, claim.CreationTimestamp)).
						Mended("take a snapshot, then kubectl delete persistentvolumeclaim %s -n %s", claim.Name, claim.Namespace))
				}
			}
			return v
		},
	}
}

// claimUses are the claims that pods and templates name, and the names, without
// their ordinal, of those that StatefulSets make.
func claimUses(s *cluster.Snapshot) (mounted, ofSets map[key]bool) {
	mounted, ofSets = map[key]bool{}, map[key]bool{}
	for _, w := range s.Workloads() {
		for _, volume := range w.Template.Spec.Volumes {
			if volume.PersistentVolumeClaim != nil {
				mounted[key{w.Self.Namespace, volume.PersistentVolumeClaim.ClaimName}] = true
			}
		}
	}
	for _, pod := range s.Pods {
		for i := range pod.Spec.Volumes {
			mounted[key{pod.Namespace, cluster.ClaimOf(pod.Name, &pod.Spec.Volumes[i])}] = true
		}
	}
	for _, set := range s.StatefulSets {
		for _, template := range set.Spec.VolumeClaimTemplates {
			ofSets[key{set.Namespace, template.Name + "-" + set.Name}] = true
		}
	}
	return mounted, ofSets
}

// withoutOrdinal is the name of a StatefulSet's claim without its pod's number.
func withoutOrdinal(name string) string {
	end := len(name)
	for end > 0 && name[end-1] >= '0' && name[end-1] <= '9' {
		end--
	}
	if end == len(name) || end == 0 || name[end-1] != '-' {
		return name
	}
	return name[:end-1]
}

// PVReleased finds volumes whose claim is gone.
//
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/#retain
func PVReleased() practice.Practice {
	return practice.Practice{
		ID:       "pv-released",
		Title:    "PersistentVolume that was released or failed",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "A released volume with the policy Retain keeps its data for somebody who does not know that it exists; one that failed could not be deleted, and is still paid for.",
		Judged:   "PersistentVolumes in the phases Released and Failed.",
		Fix:      "save the data or delete the volume and its disk; to use it again, clear spec.claimRef",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/storage/persistent-volumes/#retain",
			"https://kubernetes.io/docs/concepts/storage/persistent-volumes/#phase",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Volumes},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, volume := range s.Volumes {
				ref := cluster.RefOf("v1", "PersistentVolume", &volume.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if phase := volume.Status.Phase; phase == corev1.VolumeReleased || phase == corev1.VolumeFailed {
					size := volume.Spec.Capacity[corev1.ResourceStorage]
					v.Findings = append(v.Findings, practice.On(ref, "status.phase", "%s, with %s%s%s", phase, size.String(), formerClaim(volume), sinceChange(s, volume)))
				}
			}
			return v
		},
	}
}

func formerClaim(volume *corev1.PersistentVolume) string {
	if claim := volume.Spec.ClaimRef; claim != nil {
		return fmt.Sprintf(" that was claimed by %s/%s", claim.Namespace, claim.Name)
	}
	return ""
}

func sinceChange(s *cluster.Snapshot, volume *corev1.PersistentVolume) string {
	if at := volume.Status.LastPhaseTransitionTime; at != nil {
		return ", since " + at.UTC().Format("2006-01-02")
	}
	return old(s.Time, volume.CreationTimestamp)
}
