package recovery

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// VeleroMissing finds clusters whose workloads and volumes nothing saves.
//
// https://velero.io/docs/main/how-velero-works/
func VeleroMissing() practice.Practice {
	return practice.Practice{
		ID:       "velero-missing",
		Title:    "No backup of workloads and volumes",
		Chapter:  practice.Recovery,
		Severity: report.Warning,
		Reason: "An etcd snapshot brings the whole cluster back to one moment, without the data on its volumes. To bring back one namespace, or to move to another cluster, " +
			"objects and volumes have to be saved together, outside the cluster.",
		Judged: "Whether Velero is set up: a BackupStorageLocation, Schedule or Backup exists. Judged where users run something. Other products leave other signs, and are not recognised: ignore this practice there.",
		Fix:    "install Velero with a location outside the cluster: https://velero.io/docs/main/basic-install/",
		Sources: []string{
			"https://velero.io/docs/main/how-velero-works/",
			"https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#backing-up-an-etcd-cluster",
		},
		LiveOnly: true, ClusterScope: true,
		Needs: []cluster.Kind{cluster.VeleroLocations, cluster.VeleroSchedules, cluster.VeleroBackups},
		Uses:  append(cluster.WorkloadKinds(), cluster.Claims),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			namespaces := userNamespaces(s)
			if len(namespaces) == 0 {
				return v
			}
			v.Judged = append(v.Judged, practice.WholeCluster())
			if !hasVelero(s) {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "no Velero: nothing is known to save the %d namespaces with workloads and their %d volume claims", len(namespaces), userClaims(s)))
			}
			return v
		},
	}
}

// userNamespaces are the namespaces in which users run something; Velero's own
// is saved by none of its backups, and is installed again.
func userNamespaces(s *cluster.Snapshot) []string {
	return slices.DeleteFunc(s.PopulatedNamespaces(), func(name string) bool { return cluster.IsPlatform(name) || name == "velero" })
}

func userClaims(s *cluster.Snapshot) int {
	n := 0
	for _, claim := range s.Claims {
		if !cluster.IsPlatform(claim.Namespace) {
			n++
		}
	}
	return n
}

// VeleroScheduleMissing finds a Velero that saves nothing by itself.
//
// https://velero.io/docs/main/backup-reference/#schedule-a-backup
func VeleroScheduleMissing() practice.Practice {
	return practice.Practice{
		ID:           "velero-schedule-missing",
		Title:        "Velero without an active schedule",
		Chapter:      practice.Recovery,
		Severity:     report.Critical,
		Reason:       "Backups by hand stop when the hand is on holiday. Without an active schedule the newest backup is as old as the last time that somebody thought of it.",
		Judged:       "Where Velero is set up: at least one Schedule that is not paused.",
		Fix:          "velero schedule create daily --schedule='0 1 * * *'",
		Sources:      []string{"https://velero.io/docs/main/backup-reference/#schedule-a-backup"},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.VeleroSchedules},
		Uses:         []cluster.Kind{cluster.VeleroLocations, cluster.VeleroBackups},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			if !hasVelero(s) {
				return v // velero-missing's
			}
			v.Judged = append(v.Judged, practice.WholeCluster())
			if all := s.System(cluster.VeleroSchedules); len(activeSchedules(s)) == 0 && len(all) > 0 {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "all %d Velero schedules are paused", len(all)))
			} else if len(all) == 0 {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "Velero has no schedule"))
			}
			return v
		},
	}
}

// VeleroBackupStale finds schedules whose backups have stopped coming.
//
// https://velero.io/docs/main/api-types/schedule/
func VeleroBackupStale() practice.Practice {
	return practice.Practice{
		ID:       "velero-backup-stale",
		Title:    "Velero schedule without a recent backup",
		Chapter:  practice.Recovery,
		Severity: report.Critical,
		Reason:   "A schedule that has silently stopped is found on the day of the restore.",
		Judged: "Each active Velero Schedule: its newest completed backup must be younger than the schedule's period and two hours. " +
			"The period is estimated from the cron expression: hours, a day, a week or a month. A schedule younger than that is not judged.",
		Fix:      "velero schedule describe, velero backup logs",
		Sources:  []string{"https://velero.io/docs/main/api-types/schedule/", "https://velero.io/docs/main/troubleshooting/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.VeleroSchedules, cluster.VeleroBackups},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, schedule := range activeSchedules(s) {
				due := period(schedule) + 2*time.Hour
				if s.Time.Sub(schedule.GetCreationTimestamp().Time) < due {
					continue
				}
				ref := cluster.RefTo(schedule)
				v.Judged = append(v.Judged, ref)
				newest := newestOf(s, schedule.GetName(), func(phase string) bool { return phase == "Completed" })
				switch {
				case newest == nil:
					v.Findings = append(v.Findings, practice.On(ref, "", "none of its backups has completed"))
				case s.Time.Sub(took(newest)) > due:
					v.Findings = append(v.Findings, practice.On(ref, "", "its newest completed backup, %s, is %s old; one is due about every %s", newest.GetName(), age(s.Time.Sub(took(newest))), age(period(schedule))))
				}
			}
			return v
		},
	}
}

// VeleroBackupFailed finds schedules whose last backup went wrong.
//
// https://velero.io/docs/main/api-types/backup/
func VeleroBackupFailed() practice.Practice {
	return practice.Practice{
		ID:       "velero-backup-failed",
		Title:    "Velero backup that failed",
		Chapter:  practice.Recovery,
		Severity: report.Critical,
		Reason:   "A backup that failed, or that lacks some of its volumes, is listed like the others. What it lacks is known when it is restored.",
		Judged:   "The newest finished backup of each Velero Schedule: phase Failed or FailedValidation is critical, PartiallyFailed a warning.",
		Fix:      "velero backup logs, velero backup describe --details",
		Sources:  []string{"https://velero.io/docs/main/api-types/backup/", "https://velero.io/docs/main/debugging-install/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.VeleroSchedules, cluster.VeleroBackups},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			finished := []string{"Completed", "PartiallyFailed", "Failed", "FailedValidation"}
			for _, schedule := range s.System(cluster.VeleroSchedules) {
				newest := newestOf(s, schedule.GetName(), func(phase string) bool { return slices.Contains(finished, phase) })
				if newest == nil {
					continue
				}
				ref := cluster.RefTo(schedule)
				v.Judged = append(v.Judged, ref)
				phase := text(newest, "status", "phase")
				if phase == "Completed" {
					continue
				}
				errors, _, _ := unstructured.NestedInt64(newest.Object, "status", "errors")
				finding := practice.On(ref, "", "its newest backup, %s, %s with %d errors%s", newest.GetName(), phase, errors, because(text(newest, "status", "failureReason"))).
					Mended("velero backup logs %s", newest.GetName())
				if phase == "PartiallyFailed" {
					finding = finding.As(report.Warning)
				}
				v.Findings = append(v.Findings, finding)
			}
			return v
		},
	}
}

// VeleroLocationUnavailable finds backup stores that cannot be reached.
//
// https://velero.io/docs/main/locations/
func VeleroLocationUnavailable() practice.Practice {
	return practice.Practice{
		ID:       "velero-location-unavailable",
		Title:    "Velero location that cannot be reached",
		Chapter:  practice.Recovery,
		Severity: report.Critical,
		Reason:   "Velero writes to its location and reads from it. While that cannot be reached there is neither backup nor restore.",
		Judged:   "Each BackupStorageLocation that Velero has looked at: its phase must be Available.",
		Fix:      "mend the bucket or its credentials: velero backup-location get",
		Sources:  []string{"https://velero.io/docs/main/locations/", "https://velero.io/docs/main/api-types/backupstoragelocation/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.VeleroLocations},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, location := range s.System(cluster.VeleroLocations) {
				ref := cluster.RefTo(location)
				v.Judged = append(v.Judged, ref)
				if phase := text(location, "status", "phase"); phase != "Available" && phase != "" {
					v.Findings = append(v.Findings, practice.On(ref, "status.phase", "%s%s", phase, because(text(location, "status", "message"))))
				}
			}
			return v
		},
	}
}

// VeleroRestoreUntested finds backups that nobody has ever restored.
//
// https://velero.io/docs/main/disaster-case/
func VeleroRestoreUntested() practice.Practice {
	return practice.Practice{
		ID:       "velero-restore-untested",
		Title:    "No recent restore from Velero",
		Chapter:  practice.Recovery,
		Severity: report.Warning,
		Reason:   "A backup is a hope until it has been restored. What is missing, which hooks fail and how long it takes is learned in a drill or in the disaster.",
		Judged:   "Where Velero is set up: a Restore that completed in the last 90 days. A drill in another cluster leaves its sign there.",
		Fix:      "restore a backup into another namespace: velero restore create --from-backup … --namespace-mappings shop:shop-drill",
		Sources:  []string{"https://velero.io/docs/main/disaster-case/", "https://velero.io/docs/main/restore-reference/"},
		LiveOnly: true, ClusterScope: true,
		Needs:      []cluster.Kind{cluster.VeleroRestores},
		Uses:       []cluster.Kind{cluster.VeleroLocations, cluster.VeleroSchedules, cluster.VeleroBackups},
		Thresholds: practice.Thresholds{{Name: "days", Value: 90, Meaning: "after which a drill is out of date"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			var v practice.Verdict
			if !hasVelero(s) {
				return v
			}
			v.Judged = append(v.Judged, practice.WholeCluster())
			var newest *unstructured.Unstructured
			for _, restore := range s.System(cluster.VeleroRestores) {
				if text(restore, "status", "phase") == "Completed" && (newest == nil || took(restore).After(took(newest))) {
					newest = restore
				}
			}
			switch {
			case newest == nil:
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "no restore from Velero has ever completed here"))
			case s.Time.Sub(took(newest)) > by.Span("days", 24*time.Hour):
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the last restore from Velero, %s, was %s ago", newest.GetName(), age(s.Time.Sub(took(newest)))))
			}
			return v
		},
	}
}

// VeleroNamespaceUncovered finds namespaces that no schedule takes in.
//
// https://velero.io/docs/main/api-types/schedule/
func VeleroNamespaceUncovered() practice.Practice {
	return practice.Practice{
		ID:       "velero-namespace-uncovered",
		Title:    "Namespace in no Velero schedule",
		Chapter:  practice.Recovery,
		Severity: report.Warning,
		Reason:   "Schedules name their namespaces. The one that was made after them is in none, and is missed when it is to be restored.",
		Judged: "Where Velero has an active schedule: each namespace in which users run something, against the included and excluded namespaces of all schedules. " +
			"Selectors by label narrow a schedule further and are not judged.",
		Fix:      "add it to a schedule's includedNamespaces, or leave those empty to take in all",
		Sources:  []string{"https://velero.io/docs/main/api-types/schedule/", "https://velero.io/docs/main/resource-filtering/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.VeleroSchedules},
		Judges:   cluster.WorkloadKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			schedules := activeSchedules(s)
			if len(schedules) == 0 {
				return v // velero-schedule-missing's
			}
			for _, name := range userNamespaces(s) {
				v.Judged = append(v.Judged, practice.NamespaceRef(name))
				if coveringSchedule(schedules, name) == nil {
					v.Findings = append(v.Findings, practice.On(practice.NamespaceRef(name), "", "none of %d active Velero schedules takes in its %d workloads", len(schedules), len(s.WorkloadsIn(name))))
				}
			}
			return v
		},
	}
}
