package observability

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// NodeUtilisationHigh finds nodes that are nearly used up.
//
// A node above four fifths of its CPU or memory has no room for the pods of a
// neighbour that fails, nor for a peak: CPU is throttled, memory is evicted.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
func NodeUtilisationHigh() practice.Practice {
	return practice.Practice{
		ID:       "node-utilisation-high",
		Title:    "Node that uses nearly all of its CPU, memory or disk",
		Chapter:  practice.Observability,
		Severity: report.Critical,
		Reason: "A node above four fifths of its CPU or memory has no room for the pods of a neighbour that fails, nor for a peak: " +
			"its pods are slowed for want of CPU and evicted for want of memory or disk.",
		Judged: "Each node's use, by the resource metrics API, against what it can allocate to pods, as kubectl top node shows it, and its disks as its kubelet reports them (/stats/summary), inodes included: more than 80 % of any. " +
			"What neither tells of a node is taken from node exporter's figures in a Prometheus of the cluster, where one is found. A node without any is not judged.",
		Fix: "move or right-size its largest pods, or add a node",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
			"https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/",
		},
		Now:          true,
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes},
		Judges:       []cluster.Kind{cluster.NodeMetrics, cluster.KubeletStats, cluster.PrometheusNodes},
		Thresholds:   practice.Thresholds{{Name: "percent", Value: 80, Meaning: "of a node's CPU, memory or disk, above which the guide raises an alert"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			var v practice.Verdict
			usage := make(map[string]corev1.ResourceList, len(s.NodeMetrics))
			for _, metrics := range s.NodeMetrics {
				usage[metrics.Name] = metrics.Usage
			}
			for _, node := range s.Nodes {
				said, known := utilisation(s, node, usage, by.Of("percent"))
				if !known {
					continue
				}
				ref := cluster.RefOf("v1", "Node", &node.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if len(said) > 0 {
					v.Findings = append(v.Findings, practice.On(ref, "", "%s", strings.Join(said, "; ")).
						Mended("kubectl get pods -A --field-selector spec.nodeName=%s; move or right-size the largest, or add a node", node.Name))
				}
			}
			return v
		},
	}
}

// utilisation words what a node uses too much of, by the resource metrics API
// and its kubelet, and by Prometheus what these do not tell; known is false when
// nobody tells anything.
func utilisation(s *cluster.Snapshot, node *corev1.Node, usage map[string]corev1.ResourceList, limit float64) (said []string, known bool) {
	used, measured := usage[node.Name]
	if measured {
		if high := highUse(node, used, limit); len(high) > 0 {
			said = append(said, "uses "+strings.Join(high, " and "))
		}
	}
	stats, reported := s.NodeStats[node.Name]
	if reported {
		said = append(said, fullDisks(stats, limit)...)
	}
	if s.Prometheus == nil {
		return said, measured || reported
	}
	for _, figure := range []struct {
		told   bool
		shares map[string]float64
		words  string
	}{{measured, s.Prometheus.NodeCPU, "uses %.0f %% of its machine's CPU, by Prometheus"}, {measured, s.Prometheus.NodeMemory, "uses %.0f %% of its machine's memory, by Prometheus"}, {reported, s.Prometheus.NodeDisk, "its fullest disk is %.0f %% full, by Prometheus"}} {
		share, has := figure.shares[node.Name]
		if figure.told || !has {
			continue
		}
		known = true
		if 100*share > limit {
			said = append(said, fmt.Sprintf(figure.words, 100*share))
		}
	}
	return said, known || measured || reported
}

// highUse words each resource of which a node uses too much.
func highUse(node *corev1.Node, usage corev1.ResourceList, limit float64) []string {
	var high []string
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		used, allocatable := usage[name], node.Status.Allocatable[name]
		if allocatable.IsZero() {
			continue
		}
		share := 100 * used.AsApproximateFloat64() / allocatable.AsApproximateFloat64()
		if share > limit {
			high = append(high, fmt.Sprintf("%.0f %% of its %s (%s)", share, noun(name), figures(name, used, allocatable)))
		}
	}
	return high
}

// fullDisks words each of a node's file systems that is too full. Where images
// have no file system of their own, both are the same.
func fullDisks(stats cluster.NodeStats, limit float64) []string {
	var full []string
	if text := fullness(stats.Disk, limit); text != "" {
		full = append(full, "its disk is "+text+" full")
	}
	if text := fullness(stats.Images, limit); text != "" && stats.Images.CapacityBytes != stats.Disk.CapacityBytes {
		full = append(full, "its image disk is "+text+" full")
	}
	return full
}

func noun(name corev1.ResourceName) string {
	if name == corev1.ResourceCPU {
		return "CPU"
	}
	return string(name)
}

func figures(name corev1.ResourceName, used, of resource.Quantity) string {
	if name == corev1.ResourceCPU {
		return fmt.Sprintf("%.2f of %.2f cores", used.AsApproximateFloat64(), of.AsApproximateFloat64())
	}
	const gib = 1 << 30
	return fmt.Sprintf("%.1f of %.1f GiB", used.AsApproximateFloat64()/gib, of.AsApproximateFloat64()/gib)
}
