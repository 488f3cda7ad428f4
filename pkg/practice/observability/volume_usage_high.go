package observability

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// VolumeUsageHigh finds volumes that are nearly full.
//
// A database whose disk is full stops, and often cannot start again to make
// room. The kubelet of each node knows how full its volumes are.
// https://kubernetes.io/docs/concepts/storage/volume-health-monitoring/
func VolumeUsageHigh() practice.Practice {
	return practice.Practice{
		ID:       "volume-usage-high",
		Title:    "Volume that is nearly full",
		Chapter:  practice.Observability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A database whose disk is full stops, and often cannot start again to make room. It fills at a rate that could have been seen for weeks.",
		Judged: "Each mounted PersistentVolumeClaim, by the bytes and inodes that the kubelets report (/stats/summary), or where they cannot be asked, that a Prometheus of the cluster has of them (kubelet_volume_stats_…): more than 85 % of either. " +
			"What a file system reserves counts as used. Claims that no running pod mounts, and drivers that report no figures, cannot be judged.",
		Fix:        "free space, or raise spec.resources.requests.storage of the claim where its StorageClass allows it",
		Sources:    []string{"https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims", "https://kubernetes.io/docs/reference/instrumentation/node-metrics/"},
		LiveOnly:   true,
		Judges:     []cluster.Kind{cluster.KubeletStats, cluster.PrometheusVolumes},
		Thresholds: practice.Thresholds{{Name: "percent", Value: 85, Meaning: "of a volume's bytes or inodes, above which the guide raises an alert"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			var v practice.Verdict
			seen := map[cluster.Ref]bool{}
			for _, volume := range volumes(s) {
				ref := cluster.Ref{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: volume.Namespace, Name: volume.Claim}
				if seen[ref] {
					continue // mounted by several pods
				}
				seen[ref] = true
				v.Judged = append(v.Judged, ref)
				if full := fullness(volume.Usage, by.Of("percent")); full != "" {
					v.Findings = append(v.Findings, practice.On(ref, "", "is %s full", full))
				}
			}
			return v
		},
	}
}

// volumes are all nodes' volumes, in one order whatever the map's: as their
// kubelets tell them, and those of which only Prometheus does.
func volumes(s *cluster.Snapshot) []cluster.VolumeStats {
	var all []cluster.VolumeStats
	for _, stats := range s.NodeStats {
		all = append(all, stats.Volumes...)
	}
	if s.Prometheus != nil && len(all) == 0 {
		all = slices.Clone(s.Prometheus.Volumes)
	}
	slices.SortFunc(all, func(a, b cluster.VolumeStats) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Claim, b.Claim), cmp.Compare(b.UsedBytes, a.UsedBytes))
	})
	return all
}

// fullness words by which of bytes and inodes a file system is fuller than a
// limit in per cent; "" when by neither.
func fullness(u cluster.Usage, limit float64) string {
	const gib = 1 << 30
	var full []string
	if u.CapacityBytes > 0 {
		if share := 100 * float64(u.UsedBytes) / float64(u.CapacityBytes); share > limit {
			full = append(full, fmt.Sprintf("%.0f %% (%.1f of %.1f GiB)", share, float64(u.UsedBytes)/gib, float64(u.CapacityBytes)/gib))
		}
	}
	if u.Inodes > 0 {
		if share := 100 * float64(u.UsedInodes) / float64(u.Inodes); share > limit {
			full = append(full, fmt.Sprintf("%.0f %% by inodes (%d of %d)", share, u.UsedInodes, u.Inodes))
		}
	}
	return strings.Join(full, " and ")
}
