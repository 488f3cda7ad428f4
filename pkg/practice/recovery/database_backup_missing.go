package recovery

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// databaseKinds are what operators of databases are judged by.
func databaseKinds() []cluster.Kind {
	return []cluster.Kind{
		cluster.CloudNativePGClusters, cluster.CloudNativePGSchedules, cluster.CrunchyClusters,
		cluster.PerconaPostgres, cluster.PerconaXtraDB, cluster.PerconaMongoDB, cluster.MariaDBs, cluster.MariaDBBackups, cluster.ZalandoClusters,
	}
}

// DatabaseBackupMissing finds databases whose operator was not told to save them.
//
// https://cloudnative-pg.io/documentation/current/backup/
func DatabaseBackupMissing() practice.Practice {
	return practice.Practice{
		ID:       "database-backup-missing",
		Title:    "Database without a backup schedule",
		Chapter:  practice.Recovery,
		Severity: report.Warning,
		Reason:   "A snapshot of a running database's disk may hold half a transaction. Its operator knows how to save it, to a moment and outside the cluster, and does so only when it is told to.",
		Judged: "Clusters of CloudNativePG (a ScheduledBackup that is not suspended), Crunchy Postgres and Percona for PostgreSQL (schedules of a pgBackRest repository), " +
			"Percona XtraDB (backup.schedule) and MongoDB (backup.tasks), and MariaDB (a Backup with a schedule); of Zalando's Postgres, enableLogicalBackup, or that its pods archive their log (a variable WAL_S3_BUCKET, WAL_GS_BUCKET, WALG_… of its StatefulSet). Whether the backups succeed is the operator's own status.",
		Fix:      "give the database a backup schedule, to storage outside the cluster",
		Sources:  []string{"https://cloudnative-pg.io/documentation/current/backup/", "https://access.crunchydata.com/documentation/postgres-operator/latest/tutorials/backups-disaster-recovery/backup-management", "https://docs.percona.com/percona-operator-for-mysql/pxc/backups-scheduled.html"},
		LiveOnly: true,
		Judges:   databaseKinds(),
		Uses:     []cluster.Kind{cluster.StatefulSets},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			saved := savedDatabases(s)
			for _, kind := range databaseKinds() {
				if kind == cluster.CloudNativePGSchedules || kind == cluster.MariaDBBackups {
					continue
				}
				for _, database := range s.System(kind) {
					ref := cluster.RefTo(database)
					v.Judged = append(v.Judged, ref)
					if !saved[databaseName{database.GetNamespace(), database.GetName()}] {
						v.Findings = append(v.Findings, practice.On(ref, "spec", "its operator has no schedule to back it up"))
					}
				}
			}
			return v
		},
	}
}

type databaseName struct{ namespace, name string }

// savedDatabases are those whose operator has a schedule for them.
func savedDatabases(s *cluster.Snapshot) map[databaseName]bool {
	saved := map[databaseName]bool{}
	note := func(object *unstructured.Unstructured, name string) {
		saved[databaseName{object.GetNamespace(), name}] = true
	}
	for _, schedule := range s.System(cluster.CloudNativePGSchedules) {
		if suspended, _, _ := unstructured.NestedBool(schedule.Object, "spec", "suspend"); !suspended {
			note(schedule, text(schedule, "spec", "cluster", "name"))
		}
	}
	for _, backup := range s.System(cluster.MariaDBBackups) {
		if _, scheduled, _ := unstructured.NestedMap(backup.Object, "spec", "schedule"); scheduled {
			note(backup, text(backup, "spec", "mariaDbRef", "name"))
		}
	}
	for _, kind := range []cluster.Kind{cluster.CrunchyClusters, cluster.PerconaPostgres} {
		for _, database := range s.System(kind) {
			if hasRepoSchedule(database) {
				note(database, database.GetName())
			}
		}
	}
	for kind, list := range map[cluster.Kind]string{cluster.PerconaXtraDB: "schedule", cluster.PerconaMongoDB: "tasks"} {
		for _, database := range s.System(kind) {
			if schedules, _, _ := unstructured.NestedSlice(database.Object, "spec", "backup", list); len(schedules) > 0 {
				note(database, database.GetName())
			}
		}
	}
	for _, database := range s.System(cluster.ZalandoClusters) {
		if logical, _, _ := unstructured.NestedBool(database.Object, "spec", "enableLogicalBackup"); logical || archivesLog(s, database) {
			note(database, database.GetName())
		}
	}
	return saved
}

// archivesLog reports whether the StatefulSet that Zalando's operator made for a
// database sends its write-ahead log to a bucket: the operator configures that
// for all its databases at once, and each shows it in its environment.
// https://postgres-operator.readthedocs.io/en/latest/administrator/#wal-archiving-and-physical-basebackups
func archivesLog(s *cluster.Snapshot, database *unstructured.Unstructured) bool {
	w := s.WorkloadByRef(cluster.Ref{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: database.GetNamespace(), Name: database.GetName()})
	if w == nil {
		return false
	}
	for c := range w.Containers() {
		if slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
			return slices.Contains([]string{"WAL_S3_BUCKET", "WAL_GS_BUCKET"}, e.Name) || strings.HasPrefix(e.Name, "WALG_") && strings.HasSuffix(e.Name, "_PREFIX") || strings.HasPrefix(e.Name, "WALE_") && strings.HasSuffix(e.Name, "_PREFIX")
		}) {
			return true
		}
	}
	return false
}

// hasRepoSchedule reports whether a pgBackRest repository has a schedule.
func hasRepoSchedule(database *unstructured.Unstructured) bool {
	repos, _, _ := unstructured.NestedSlice(database.Object, "spec", "backups", "pgbackrest", "repos")
	for _, repo := range repos {
		repo, _ := repo.(map[string]any)
		if schedules, _, _ := unstructured.NestedMap(repo, "schedules"); len(schedules) > 0 {
			return true
		}
	}
	return false
}

// savedByOperator reports whether a claim belongs to a database that is saved,
// by the label that its operator gives it.
func savedByOperator(saved map[databaseName]bool, claim *corev1.PersistentVolumeClaim) bool {
	for _, label := range []string{"cnpg.io/cluster", "postgres-operator.crunchydata.com/cluster", "app.kubernetes.io/instance"} {
		if saved[databaseName{claim.Namespace, claim.Labels[label]}] {
			return true
		}
	}
	return false
}
