package recovery

import (
	"strings"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/record"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// EtcdAlarm finds clusters whose store has raised an alarm.
//
// Under NOSPACE etcd refuses every write until somebody makes room and disarms
// it; under CORRUPT a member's data differs from the others'.
// https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota
func EtcdAlarm() practice.Practice {
	return practice.Practice{
		ID:       "etcd-alarm",
		Title:    "etcd has raised an alarm",
		Chapter:  practice.Recovery,
		Severity: report.Critical,
		Now:      true,
		Reason:   "Under NOSPACE etcd refuses every write until somebody makes room and disarms the alarm; under CORRUPT a member's data differs from the others', and what it answers may be wrong.",
		Judged: "The alarms that kubectl prod backup-etcd saw when it last looked, within a week; and where a Prometheus of the cluster scrapes etcd, a database as large as its quota, which is NOSPACE. " +
			"Without either there is no verdict: the API server does not tell etcd's alarms.",
		Fix:      "NOSPACE: compact, defragment member by member, then etcdctl alarm disarm. CORRUPT: replace the member from a healthy one",
		Sources:  []string{"https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota", "https://etcd.io/docs/v3.6/op-guide/data_corruption/"},
		LiveOnly: true, ClusterScope: true,
		Needs:      []cluster.Kind{cluster.ConfigMaps},
		Uses:       []cluster.Kind{cluster.PrometheusEtcd, cluster.Pods, cluster.Nodes},
		Thresholds: practice.Thresholds{{Name: "days", Value: 7, Meaning: "after which what a backup saw of the alarms says nothing any more"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			known := false
			if at, err := time.Parse(time.RFC3339, recorded(s, record.LastBackup)); err == nil && recordsAlarms(s) && s.Time.Sub(at) < by.Span("days", 24*time.Hour) {
				known = true
				if alarms := strings.TrimSpace(recorded(s, record.Alarms)); alarms != "" {
					v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "etcd had raised %s%s", alarms, asOfRecord(s)))
				}
			}
			for _, one := range etcdSizes(s) {
				const gib = 1 << 30
				if s.Prometheus == nil || one.Quota == 0 {
					continue
				}
				known = true
				if one.Total >= one.Quota {
					v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the database of %s is %.2f GiB, all of its quota of %.2f GiB, at which it raises NOSPACE%s", one.member, one.Total/gib, one.Quota/gib, one.as))
				}
			}
			if !known {
				return practice.Verdict{NotChecked: unknownEtcd(s, "whether etcd has raised an alarm")}
			}
			return v
		},
	}
}

// recordsAlarms reports whether the record tells of alarms at all, if only that
// there were none.
func recordsAlarms(s *cluster.Snapshot) bool {
	for _, cm := range s.ConfigMaps {
		if _, told := cm.Annotations[record.Alarms]; told && cm.Namespace == record.Namespace && cm.Name == record.Name {
			return true
		}
	}
	return false
}
