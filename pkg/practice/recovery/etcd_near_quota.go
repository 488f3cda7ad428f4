package recovery

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/record"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	// defaultQuota is etcd's when --quota-backend-bytes is not set.
	defaultQuota = 2 << 30
)

// EtcdNearQuota finds clusters that will soon refuse every write.
//
// At its quota etcd raises an alarm and takes no more writes: the cluster can
// be read and not changed, not even to delete what is too much.
// https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota
func EtcdNearQuota() practice.Practice {
	return practice.Practice{
		ID:       "etcd-near-quota",
		Title:    "etcd near its space quota",
		Chapter:  practice.Recovery,
		Severity: report.Critical,
		Now:      true,
		Reason:   "At its quota etcd raises an alarm and takes no more writes: the cluster can be read and not changed, not even to delete what is too much.",
		Judged: "The size of etcd's database as the API server reports it (apiserver_storage_size_bytes) against the quota on etcd's own command line, where its pods can be seen; " +
			"2 GiB, etcd's default, where it sets none: more than 80 %. Where etcd's pods cannot be seen, the quota that kubectl prod backup-etcd recorded counts; without a record there is no verdict.",
		Fix:          "delete what is too much, compact and defragment member by member, then raise --quota-backend-bytes to at most 8 GiB",
		Sources:      []string{"https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota", "https://etcd.io/docs/v3.6/dev-guide/limit/#storage-size-limit"},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.ServerMetrics, cluster.Pods},
		Uses:         []cluster.Kind{cluster.ConfigMaps},
		Thresholds:   practice.Thresholds{{Name: "percent", Value: 80, Meaning: "of etcd's quota, above which it is near"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			quota, seen := etcdQuota(s)
			switch {
			case len(s.ServerMetrics.StorageBytes) == 0:
				return practice.Verdict{NotChecked: "the API server's metrics do not tell the size of its store"}
			case !seen:
				return practice.Verdict{NotChecked: "no etcd pod in this cluster: its quota cannot be seen from here"}
			}
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			for _, store := range slices.Sorted(maps.Keys(s.ServerMetrics.StorageBytes)) {
				const gib = 1 << 30
				if size := s.ServerMetrics.StorageBytes[store]; 100*size > by.Of("percent")*quota {
					v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the database of %s is %.2f GiB, %.0f %% of its quota of %.2f GiB", store, size/gib, 100*size/quota, quota/gib))
				}
			}
			return v
		},
	}
}

// etcdQuota is the quota on the command line of etcd's pods, and whether there
// are such pods.
func etcdQuota(s *cluster.Snapshot) (quota float64, seen bool) {
	flag := regexp.MustCompile(`--quota-backend-bytes[= ](\d+)`)
	quota = defaultQuota
	for _, pod := range s.Pods {
		if !isEtcd(pod) {
			continue
		}
		seen = true
		for _, c := range pod.Spec.Containers {
			if found := flag.FindStringSubmatch(strings.Join(slices.Concat(c.Command, c.Args), " ")); found != nil {
				if bytes, err := strconv.ParseFloat(found[1], 64); err == nil && bytes > 0 {
					quota = bytes
				}
			}
		}
	}
	if recordedQuota, err := strconv.ParseFloat(recorded(s, record.Quota), 64); !seen && err == nil && recordedQuota > 0 {
		return recordedQuota, true
	}
	return quota, seen
}

// isEtcd reports whether a pod is etcd's own, as kubeadm and RKE2 label it, or
// OpenShift does.
func isEtcd(pod *cluster.Pod) bool {
	return (pod.Namespace == "kube-system" && pod.Labels["component"] == "etcd") || (pod.Namespace == "openshift-etcd" && pod.Labels["app"] == "etcd")
}
