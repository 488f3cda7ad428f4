package recovery

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// VolumeUnprotected finds volumes of which there is one copy.
//
// https://kubernetes.io/docs/concepts/storage/volume-snapshots/
func VolumeUnprotected() practice.Practice {
	return practice.Practice{
		ID:       "volume-unprotected",
		Title:    "Volume that nothing saves",
		Chapter:  practice.Recovery,
		Severity: report.Warning,
		Reason:   "A replicated disk keeps a deleted table deleted, on all its copies. What no backup and no snapshot holds is gone with one mistake.",
		Judged: "Each bound PersistentVolumeClaim, the platform's excepted: an active Velero schedule takes in its namespace and its volumes, or a VolumeSnapshot was taken of it, " +
			"or it belongs to a database whose operator backs it up. Where none of these exists at all, velero-missing says so once. Namespaces that Velero's schedules leave out are velero-namespace-uncovered's. " +
			"A volume that holds a cache needs no backup: ignore this practice there. Backups by the storage itself are not seen.",
		Fix:      "take it into a Velero schedule, or take VolumeSnapshots of it",
		Sources:  []string{"https://kubernetes.io/docs/concepts/storage/volume-snapshots/", "https://velero.io/docs/main/file-system-backup/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Claims, cluster.VeleroSchedules, cluster.VolumeSnapshots},
		Uses:     databaseKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			schedules := activeSchedules(s)
			snapshots := snapshotted(s)
			saved := savedDatabases(s)
			if !hasVelero(s) && len(snapshots)+len(saved) == 0 {
				return v // nothing saves anything, which velero-missing says once
			}
			for _, claim := range s.Claims {
				if cluster.IsPlatform(claim.Namespace) || claim.Status.Phase != corev1.ClaimBound {
					continue
				}
				schedule := coveringSchedule(schedules, claim.Namespace)
				if schedule == nil && len(schedules) > 0 {
					continue
				}
				ref := cluster.RefOf("v1", "PersistentVolumeClaim", &claim.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if snapshots[ref] || savedByOperator(saved, claim) || (schedule != nil && takesVolumes(schedule)) {
					continue
				}
				size := claim.Status.Capacity[corev1.ResourceStorage]
				if size.IsZero() {
					size = claim.Spec.Resources.Requests[corev1.ResourceStorage]
				}
				why := "no Velero schedule, VolumeSnapshot or operator's backup"
				if schedule != nil {
					why = "Velero schedule " + schedule.GetName() + " leaves volumes out (snapshotVolumes: false), and there is no VolumeSnapshot or operator's backup"
				}
				v.Findings = append(v.Findings, practice.On(ref, "", "%s of data, and %s", size.String(), why))
			}
			return v
		},
	}
}

// takesVolumes reports whether a schedule saves volumes as well as objects.
func takesVolumes(schedule *unstructured.Unstructured) bool {
	snapshot, set, _ := unstructured.NestedBool(schedule.Object, "spec", "template", "snapshotVolumes")
	files, _, _ := unstructured.NestedBool(schedule.Object, "spec", "template", "defaultVolumesToFsBackup")
	return !set || snapshot || files
}

// snapshotted are the claims of which there is a VolumeSnapshot.
func snapshotted(s *cluster.Snapshot) map[cluster.Ref]bool {
	all := map[cluster.Ref]bool{}
	for _, snapshot := range s.System(cluster.VolumeSnapshots) {
		if claim := text(snapshot, "spec", "source", "persistentVolumeClaimName"); claim != "" {
			all[cluster.Ref{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: snapshot.GetNamespace(), Name: claim}] = true
		}
	}
	return all
}
