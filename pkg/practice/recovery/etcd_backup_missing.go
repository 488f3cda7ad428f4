package recovery

import (
	"fmt"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// EtcdBackupMissing finds clusters whose state nobody saves.
//
// etcd holds every object of the cluster. When its quorum is lost for good, the
// last snapshot is the cluster; without one, it is built again by hand.
// https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#backing-up-an-etcd-cluster
func EtcdBackupMissing() practice.Practice {
	return practice.Practice{
		ID:       "etcd-backup-missing",
		Title:    "No sign of an etcd backup",
		Chapter:  practice.Recovery,
		Severity: report.Critical,
		Reason: "etcd holds every object of the cluster. When its quorum is lost for good, the last snapshot is the cluster; " +
			"without one, it is built again by hand.",
		Judged: "Signs of a backup: the record that kubectl prod backup-etcd leaves, K3s and RKE2 snapshots, and the last success of a CronJob that runs etcdctl snapshot save " +
			"or an etcd backup image, or that an OpenShift Backup made. How old the newest is, is etcd-backup-stale's. " +
			"A backup made from outside the cluster leaves no sign in it. Not judged where etcd is the provider's, or runs where it cannot be seen.",
		Fix: "kubectl prod backup-etcd",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#backing-up-an-etcd-cluster",
			"https://docs.k3s.io/cli/etcd-snapshot",
			"https://docs.okd.io/latest/backup_and_restore/control_plane_backup_and_restore/backing-up-etcd.html",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Pods, cluster.ConfigMaps, cluster.CronJobs},
		Uses:         []cluster.Kind{cluster.Nodes, cluster.EtcdSnapshots, cluster.OpenShiftBackups},
		Check:        checkEtcdBackup,
	}
}

func checkEtcdBackup(s *cluster.Snapshot) practice.Verdict {
	v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
	if _, found := newestBackup(s); found {
		return v // etcd-backup-stale says how old it is
	}
	if why := etcdOutOfSight(s); why != "" {
		return practice.Verdict{NotChecked: why}
	}
	v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "no sign of an etcd backup%s", schedules(s)))
	return v
}

// age is a duration in days, or in hours when there is less than two days.
func age(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}
