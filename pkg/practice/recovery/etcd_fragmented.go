package recovery

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/record"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	// worthFree is what must lie idle for a defragmentation to be worth its
	// pause.
	worthFree = 100 << 20
)

// EtcdFragmented finds databases that hold more air than data.
//
// etcd never gives the pages of deleted keys back to the disk. They count
// against its quota until the member is defragmented.
// https://etcd.io/docs/v3.6/op-guide/maintenance/#defragmentation
func EtcdFragmented() practice.Practice {
	return practice.Practice{
		ID:       "etcd-fragmented",
		Title:    "etcd's database mostly holds free pages",
		Chapter:  practice.Recovery,
		Severity: report.Warning,
		Reason:   "etcd never gives the pages of deleted keys back to the disk. They count against its quota, make every backup larger, and go only when a member is defragmented.",
		Judged: "The size of each member's database against what of it is in use, as a Prometheus of the cluster knows them (etcd_mvcc_db_total_size_…), or else as kubectl prod backup-etcd recorded them with its last backup: " +
			"more than half free, and at least 100 MiB. Without either there is no verdict: the API server does not tell what is in use.",
		Fix:      "defragment one member after the other, the leader last: etcdctl defrag --endpoints=…; each stands still while it lasts",
		Sources:  []string{"https://etcd.io/docs/v3.6/op-guide/maintenance/#defragmentation", "https://etcd.io/docs/v3.6/metrics/"},
		LiveOnly: true, ClusterScope: true,
		Needs:      []cluster.Kind{cluster.ConfigMaps},
		Uses:       []cluster.Kind{cluster.PrometheusEtcd, cluster.Pods, cluster.Nodes},
		Thresholds: practice.Thresholds{{Name: "percent", Value: 50, Meaning: "of the database free, above which a defragmentation is worth its pause"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			sizes := etcdSizes(s)
			if len(sizes) == 0 {
				return practice.Verdict{NotChecked: unknownEtcd(s, "the size of etcd's data")}
			}
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			for _, one := range sizes {
				const mib = 1 << 20
				if free := one.Total - one.InUse; one.Total > 0 && 100*free > by.Of("percent")*one.Total && free >= worthFree {
					v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the database of %s is %.0f MiB, of which %.0f MiB (%.0f %%) are free pages%s",
						one.member, one.Total/mib, free/mib, 100*free/one.Total, one.as))
				}
			}
			return v
		},
	}
}

// memberSize is a member's database, and when it was seen to be so.
type memberSize struct {
	cluster.EtcdSize
	member string
	as     string
}

// etcdSizes are the databases of all members that are known: as Prometheus has
// them, or else of the member that was last saved.
func etcdSizes(s *cluster.Snapshot) []memberSize {
	var all []memberSize
	if s.Prometheus != nil {
		for _, member := range slices.Sorted(maps.Keys(s.Prometheus.Etcd)) {
			if size := s.Prometheus.Etcd[member]; size.Total > 0 && size.InUse > 0 {
				all = append(all, memberSize{size, "etcd " + member, ", by Prometheus"})
			}
		}
	}
	if len(all) > 0 {
		return all
	}
	total, err := strconv.ParseFloat(recorded(s, record.DBSize), 64)
	inUse, err2 := strconv.ParseFloat(recorded(s, record.DBInUse), 64)
	if err != nil || err2 != nil {
		return nil
	}
	quota, _ := strconv.ParseFloat(recorded(s, record.Quota), 64) // 0 where it was not recorded
	return []memberSize{{cluster.EtcdSize{Total: total, InUse: inUse, Quota: quota}, "etcd", asOfRecord(s)}}
}

// asOfRecord tells how old the record is.
func asOfRecord(s *cluster.Snapshot) string {
	at, err := time.Parse(time.RFC3339, recorded(s, record.LastBackup))
	if err != nil {
		return ", at the last backup"
	}
	return fmt.Sprintf(", at the backup %s ago", age(s.Time.Sub(at)))
}

// unknownEtcd says why something of etcd is not known, and how it would be.
func unknownEtcd(s *cluster.Snapshot, what string) string {
	if why := etcdOutOfSight(s); strings.HasPrefix(why, "a managed") {
		return why
	}
	return what + " is not known: kubectl prod backup-etcd records it with each backup, and a Prometheus that scrapes etcd tells its sizes"
}
