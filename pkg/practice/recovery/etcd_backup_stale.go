package recovery

import (
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/record"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// EtcdBackupStale finds clusters whose newest etcd backup is of another day.
//
// https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#backing-up-an-etcd-cluster
func EtcdBackupStale() practice.Practice {
	return practice.Practice{
		ID:       "etcd-backup-stale",
		Title:    "Newest etcd backup is of another day",
		Chapter:  practice.Recovery,
		Severity: report.Critical,
		Reason:   "Everything that was changed since the newest snapshot is lost with etcd's quorum, and what was deleted since then comes back.",
		Judged:   "The signs of a backup that etcd-backup-missing looks for: the newest must be younger than 24 hours. A cluster without any is etcd-backup-missing's.",
		Fix:      "kubectl prod backup-etcd",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#backing-up-an-etcd-cluster",
			"https://docs.k3s.io/cli/etcd-snapshot",
		},
		LiveOnly: true, ClusterScope: true,
		Needs:      []cluster.Kind{cluster.Pods, cluster.ConfigMaps, cluster.CronJobs},
		Uses:       []cluster.Kind{cluster.Nodes, cluster.EtcdSnapshots, cluster.OpenShiftBackups},
		Thresholds: practice.Thresholds{{Name: "hours", Value: 24, Meaning: "after which the newest backup is stale"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			newest, found := newestBackup(s)
			if !found {
				return practice.Verdict{NotChecked: noBackup(s)}
			}
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			if s.Time.Sub(newest.at) >= by.Span("hours", time.Hour) {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the newest etcd backup that left a sign is %s old (%s, %s)%s",
					age(s.Time.Sub(newest.at)), newest.by, newest.at.UTC().Format("2006-01-02 15:04 MST"), schedules(s)))
			}
			return v
		},
	}
}

// noBackup says why a backup of etcd cannot be judged: there is none to see.
func noBackup(s *cluster.Snapshot) string {
	if why := etcdOutOfSight(s); why != "" {
		return why
	}
	return "there is no sign of an etcd backup to judge"
}

// EtcdRestoreUntested finds snapshots that nobody has proved to be a cluster.
//
// https://etcd.io/docs/v3.6/op-guide/recovery/
func EtcdRestoreUntested() practice.Practice {
	return practice.Practice{
		ID:       "etcd-restore-untested",
		Title:    "No etcd backup that was proved by a restore",
		Chapter:  practice.Recovery,
		Severity: report.Warning,
		Reason:   "A snapshot can be truncated, of the wrong member or of an empty store, and looks like any other file. It is a backup once it has been restored and read.",
		Judged: "The record in the cluster that kubectl prod backup-etcd leaves after it has restored and read a snapshot: its newest proof must be younger than 7 days. " +
			"Proofs by other means leave no sign here. Not judged where etcd cannot be seen or no backup is known.",
		Fix:      "kubectl prod backup-etcd verify",
		Sources:  []string{"https://etcd.io/docs/v3.6/op-guide/recovery/", "https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#restoring-an-etcd-cluster"},
		LiveOnly: true, ClusterScope: true,
		Needs:      []cluster.Kind{cluster.Pods, cluster.ConfigMaps, cluster.CronJobs},
		Uses:       []cluster.Kind{cluster.Nodes, cluster.EtcdSnapshots},
		Thresholds: practice.Thresholds{{Name: "days", Value: 7, Meaning: "after which a proof is out of date"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			newest, found := newestBackup(s)
			if !found {
				return practice.Verdict{NotChecked: noBackup(s)}
			}
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			proved, err := time.Parse(time.RFC3339, recorded(s, record.LastVerified))
			switch {
			case err != nil:
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "backups are made (%s), and nothing here says that one was ever restored", newest.by))
			case s.Time.Sub(proved) > by.Span("days", 24*time.Hour):
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the last etcd backup that was proved by a restore is %s old", age(s.Time.Sub(proved))))
			}
			return v
		},
	}
}

// EtcdBackupLacksKeys finds backups that nobody will be able to read.
//
// https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
func EtcdBackupLacksKeys() practice.Practice {
	return practice.Practice{
		ID:       "etcd-backup-lacks-keys",
		Title:    "Backup of encrypted data without a record of its keys",
		Chapter:  practice.Recovery,
		Severity: report.Critical,
		Reason:   "Where Secrets are encrypted at rest, the snapshot holds ciphertext. Without the EncryptionConfiguration, or the key service behind it, the restored cluster cannot read a single one.",
		Judged: "Where an API server's pod shows --encryption-provider-config: the record of kubectl prod backup-etcd must say that the keys are kept as well (annotation " + record.KeysKept + "). " +
			"Keys kept by other means leave no sign here: note it in the record. Not judged where the API server's flags or a backup cannot be seen.",
		Fix:      "keep the EncryptionConfiguration and the PKI of the control plane with the snapshots, and note it: kubectl annotate configmap " + record.Name + " -n " + record.Namespace + " " + record.KeysKept + "=…",
		Sources:  []string{"https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/", "https://kubernetes.io/docs/tasks/administer-cluster/kms-provider/"},
		LiveOnly: true, ClusterScope: true,
		Needs: []cluster.Kind{cluster.Pods, cluster.ConfigMaps, cluster.CronJobs},
		Uses:  []cluster.Kind{cluster.Nodes, cluster.EtcdSnapshots},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			encrypted, seen := encryptsAtRest(s)
			if _, found := newestBackup(s); !found {
				return practice.Verdict{NotChecked: noBackup(s)}
			}
			if !seen {
				return practice.Verdict{NotChecked: "no API server's pod in this cluster: whether its data is encrypted cannot be seen from here"}
			}
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			if encrypted != "" && recorded(s, record.KeysKept) == "" {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "data is encrypted at rest (%s on %s), and no record says that the keys are kept with the backups", "--encryption-provider-config", encrypted))
			}
			return v
		},
	}
}

// recorded is an annotation of the record that backup-etcd leaves.
func recorded(s *cluster.Snapshot, annotation string) string {
	for _, cm := range s.ConfigMaps {
		if cm.Namespace == record.Namespace && cm.Name == record.Name {
			return cm.Annotations[annotation]
		}
	}
	return ""
}

// encryptsAtRest names an API server's pod that encrypts, and tells whether
// any such pod can be seen.
func encryptsAtRest(s *cluster.Snapshot) (pod string, seen bool) {
	flag := regexp.MustCompile(`--(experimental-)?encryption-provider-config[= ]`)
	for _, p := range s.Pods {
		if p.Namespace != "kube-system" || p.Labels["component"] != "kube-apiserver" {
			continue
		}
		seen = true
		if slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
			return flag.MatchString(strings.Join(slices.Concat(c.Command, c.Args), " ") + " ")
		}) {
			return p.Name, true
		}
	}
	return "", seen
}
