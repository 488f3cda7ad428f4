package resources

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// MemoryNearLimit finds containers that are about to be killed.
//
// At its limit a container is not slowed down but killed. The working set that
// the metrics API shows is what the kernel cannot take back.
// https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/
func MemoryNearLimit() practice.Practice {
	return practice.Practice{
		ID:       "memory-near-limit",
		Title:    "Container near its memory limit",
		Chapter:  practice.Resources,
		Severity: report.Critical,
		Reason: "At its memory limit a container is not slowed down but killed, with all that it was doing. " +
			"One that is nearly there now is there at the next peak.",
		Judged: "Each running container with a memory limit, by the working set in the resource metrics API: more than 90 % of the limit. It is one sample, so that a peak between two samples is not seen. " +
			"Of a workload's pods the fullest is told. Pods limited as a whole are judged by the sum of their containers.",
		Fix: "raise the memory limit, or find the leak; kubectl top pod --containers shows what it uses now",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/#exceed-a-container-s-memory-limit",
			"https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/",
		},
		Now:      true,
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Pods, cluster.PodMetrics},
		Uses:     []cluster.Kind{cluster.ReplicaSets},
		Remedy: &practice.Remedy{
			Does:    raisesLimit,
			Uses:    sizingKinds(),
			Propose: sizer(raiseLimit),
		},
		Thresholds: practice.Thresholds{{Name: "percent", Value: 90, Meaning: "of the limit, above which there is no room for an ordinary peak"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			var v practice.Verdict
			for _, w := range s.Workloads() {
				all := sampled(s, w, 0)
				if len(all) == 0 {
					continue
				}
				v.Judged = append(v.Judged, w.Owner)
				for _, c := range all {
					v.Findings = append(v.Findings, fullest(w, c, by.Of("percent"))...)
				}
				v.Findings = append(v.Findings, fullestPod(s, w, by.Of("percent"))...)
			}
			return v
		},
	}
}

// fullest tells of the sample nearest to its container's limit.
func fullest(w *cluster.Workload, c containerSamples, near float64) []practice.Finding {
	var worst sample
	var share float64
	for _, one := range c.samples {
		limit, limited := one.container.Resources.Limits[corev1.ResourceMemory]
		if !limited || limit.IsZero() {
			continue
		}
		if part := 100 * one.used.Memory / number(limit); part > share {
			worst, share = one, part
		}
	}
	if share <= near {
		return nil
	}
	path := ""
	if c.path != "" {
		path = c.path + ".resources.limits.memory"
	}
	return []practice.Finding{practice.On(w.Owner, path, "container %q uses %s of its memory limit of %s (%.0f %%) in pod %s%s, by one sample",
		c.name, amount(corev1.ResourceMemory, worst.used.Memory),
		amount(corev1.ResourceMemory, number(worst.container.Resources.Limits[corev1.ResourceMemory])), share, worst.pod.Name, fullestOf(len(c.samples)))}
}

// fullestPod judges pods that are limited as a whole.
func fullestPod(s *cluster.Snapshot, w *cluster.Workload, near float64) []practice.Finding {
	var name string
	var used, limit float64
	for _, pod := range w.Pods {
		usage := s.UsageOf(pod)
		if usage == nil || pod.Spec.Resources == nil {
			continue
		}
		whole, limited := pod.Spec.Resources.Limits[corev1.ResourceMemory]
		if !limited || whole.IsZero() {
			continue
		}
		sum := 0.0
		for _, c := range usage.Containers {
			sum += c.Memory
		}
		if limit == 0 || sum/number(whole) > used/limit {
			name, used, limit = pod.Name, sum, number(whole)
		}
	}
	if limit == 0 || 100*used/limit <= near {
		return nil
	}
	return []practice.Finding{practice.On(w.Owner, w.TemplatePath+".resources.limits.memory",
		"pod %s%s uses %s of its memory limit of %s (%.0f %%), by one sample",
		name, fullestOf(len(w.Pods)), amount(corev1.ResourceMemory, used), amount(corev1.ResourceMemory, limit), 100*used/limit)}
}

func fullestOf(pods int) string {
	if pods < 2 {
		return ""
	}
	return fmt.Sprintf(" (the fullest of %d)", pods)
}
