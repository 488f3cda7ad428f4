package resources

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	// lackCPU and lackMemory are what is worth a word, for each pod.
	lackCPU    = 0.1
	lackMemory = 64 << 20
)

// RequestUndersized finds containers that live on what nobody reserved for
// them.
//
// They run as long as their neighbours are idle. When these want their own, the
// container is slowed to its request, or evicted for its memory.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
func RequestUndersized() practice.Practice {
	return practice.Practice{
		ID:       "request-undersized",
		Title:    "Container that uses far more than it requests",
		Chapter:  practice.Resources,
		Severity: report.Warning,
		Reason: "A container that uses more than it requests lives on what its neighbours leave. When they want their own, it is slowed down to its request; " +
			"and when the node runs out of memory, it is among the first to be evicted.",
		Judged: "Each container, on average over the running pods of its workload, by the resource metrics API: told when they use more than one and a half times what they request, " +
			"by at least a tenth of a core or 64 MiB a pod. It is one sample, which a burst can be. Exempt are Jobs, pods younger than 10 minutes, and containers without a request, which other practices name.",
		Fix: "raise the request to what the container uses at an ordinary peak",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#pod-selection-for-kubelet-eviction",
			"https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/",
		},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods, cluster.PodMetrics},
		Uses:     []cluster.Kind{cluster.ReplicaSets, cluster.Jobs, cluster.CronJobs},
		Remedy: &practice.Remedy{
			Does:    "raises the request to half more than the fullest pod uses; " + sizedWhen + ", or an autoscaler counts in parts of it",
			Uses:    sizingKinds(),
			Propose: sizer(raiseRequest),
		},
		Thresholds: practice.Thresholds{{Name: "percent", Value: 150, Meaning: "of what is requested, above which a container's use is told"}},
		CheckBy:    eachSized(lacking),
	}
}

func lacking(_ *cluster.Snapshot, w *cluster.Workload, c containerSamples, name corev1.ResourceName, percent float64) []practice.Finding {
	worth := lackCPU
	if name == corev1.ResourceMemory {
		worth = lackMemory
	}
	n := c.against(name)
	if n.pods == 0 || 100*n.used <= percent*n.requested || n.used-n.requested < worth*float64(n.pods) {
		return nil
	}
	pods := float64(n.pods)
	return []practice.Finding{practice.On(w.Owner, requestPath(c, name),
		"container %q requests %s of %s and uses %s (%.0f %%) on average over %s, by one sample",
		c.name, amount(name, n.requested/pods), spoken(name), amount(name, n.used/pods), 100*n.used/n.requested, plural(n.pods, "pod"))}
}
