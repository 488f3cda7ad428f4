package resources

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	// warmUp is how long a pod runs before a sample of it counts for sizing.
	warmUp = 10 * time.Minute
	// worthCPU and worthMemory are what is worth a word, over all pods.
	worthCPU    = 0.5
	worthMemory = 512 << 20
)

// RequestOversized finds room that is reserved and not used.
//
// What a container requests, nobody else may request, whether it is used or
// not: nodes are full of reservations while they idle, and more are bought.
// https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
func RequestOversized() practice.Practice {
	return practice.Practice{
		ID:       "request-oversized",
		Title:    "Container that uses a fraction of what it requests",
		Chapter:  practice.Resources,
		Severity: report.Info,
		Reason: "What a container requests, nobody else may request, whether it is used or not. " +
			"Nodes fill up with reservations while they idle, and more nodes are bought.",
		Judged: "Each container over all running pods of its workload: told when they use less than a fifth of what they request and at least half a core, " +
			"or 512 MiB, lies idle. Where a Prometheus of the cluster has the kubelets' figures, by the last week: every pod counts with the peak of the fullest (of CPU, its 95th percentile). " +
			"Otherwise by the resource metrics API, which is one sample, a hint and not a measurement: look at a week with its peaks before changing a request. " +
			"Exempt are Jobs and pods younger than 10 minutes.",
		Fix: "lower the request to the peak of an ordinary week, with a margin; an autoscaler on utilisation counts in parts of the request, so look at its target too",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
			"https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/",
		},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods, cluster.PodMetrics},
		Uses:     []cluster.Kind{cluster.ReplicaSets, cluster.Jobs, cluster.CronJobs, cluster.PrometheusUsage},
		Remedy: &practice.Remedy{
			Does: "lowers the request to 15 % more than the peak of a week's history in Prometheus (of CPU, its 95th percentile), at least 10m or 32Mi, and never below what is used now; " +
				"refused on less than a week, which is all that the metrics API has, for pods of QoS class Guaranteed, and where an autoscaler counts in parts of it",
			Uses:       sizingKinds(),
			Everywhere: true, // the Prometheus stands elsewhere
			Propose:    sizer(lowerRequest),
		},
		Thresholds: practice.Thresholds{{Name: "percent", Value: 20, Meaning: "of what is requested, below which a container's use is told"}},
		CheckBy:    eachSized(wasted),
	}
}

// eachSized judges each container of each Workload whose pods stay, by its
// samples.
func eachSized(judge func(*cluster.Snapshot, *cluster.Workload, containerSamples, corev1.ResourceName, float64) []practice.Finding) func(*cluster.Snapshot, practice.Thresholds) practice.Verdict {
	return func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
		var v practice.Verdict
		for _, w := range s.Workloads() {
			if !runsOn(w) {
				continue
			}
			all := sampled(s, w, warmUp)
			if len(all) == 0 {
				continue
			}
			v.Judged = append(v.Judged, w.Owner)
			for _, c := range all {
				for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
					v.Findings = append(v.Findings, judge(s, w, c, name, by.Of("percent"))...)
				}
			}
		}
		return v
	}
}

func wasted(s *cluster.Snapshot, w *cluster.Workload, c containerSamples, name corev1.ResourceName, percent float64) []practice.Finding {
	worth := worthCPU
	if name == corev1.ResourceMemory {
		worth = worthMemory
	}
	n := c.against(name)
	source := "by one sample"
	if past, ok := pastUse(s, w, c.name, name); ok && past.history > 0 {
		n.used, source = max(n.used, past.peak*float64(n.pods)), "by "+past.source(name)
	}
	if n.pods == 0 || 100*n.used >= percent*n.requested || n.requested-n.used < worth {
		return nil
	}
	return []practice.Finding{practice.On(w.Owner, requestPath(c, name),
		"container %q requests %s over %s and uses %s (%.0f %%), %s: %s lie idle",
		c.name, amount(name, n.requested), plural(n.pods, "pod"), amount(name, n.used), 100*n.used/n.requested, source, amount(name, n.requested-n.used))}
}

func requestPath(c containerSamples, name corev1.ResourceName) string {
	if c.path == "" {
		return ""
	}
	return c.path + ".resources.requests." + string(name)
}
