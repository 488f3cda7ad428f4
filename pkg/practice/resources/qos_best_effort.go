package resources

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// QoSBestEffort finds workloads that are called important and treated as the
// least.
//
// A PriorityClass decides who is scheduled and preempted. Under memory pressure
// the kubelet first asks who uses more than it requested, and a pod that
// requests nothing always does: it goes before the unimportant ones.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
func QoSBestEffort() practice.Practice {
	return practice.Practice{
		ID:       "qos-best-effort",
		Title:    "Workload with a priority that runs BestEffort",
		Chapter:  practice.Resources,
		Severity: report.Warning,
		Reason: "A PriorityClass decides who is scheduled and preempted. When a node runs out of memory, the kubelet first evicts who uses more than it requested, " +
			"and a pod that requests nothing always does: the important workload goes before the unimportant ones.",
		Judged: "Workloads that name a PriorityClass whose value is at least the cluster's default (0 where no class is the default): some container must request or limit CPU or memory, " +
			"its own, by a LimitRange, or for the pod as a whole. Workloads without a PriorityClass are named by the practices on unset requests alone.",
		Fix: "set requests for CPU and memory on its containers",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/#besteffort",
			"https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#pod-selection-for-kubelet-eviction",
		},
		Judges: cluster.WorkloadKinds(),
		Uses:   []cluster.Kind{cluster.PriorityClasses, cluster.LimitRanges},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			values, normal := priorities(s)
			important := func(w *cluster.Workload) bool {
				value, known := values[w.Template.Spec.PriorityClassName]
				return known && value >= normal
			}
			return practice.EachWorkload(important, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				if !bestEffort(s, w) {
					return nil
				}
				class := w.Template.Spec.PriorityClassName
				return []practice.Finding{practice.On(w.Owner, w.TemplatePath+".priorityClassName",
					"runs in PriorityClass %q (%d, the default is %d) and requests neither CPU nor memory: under memory pressure it is among the first to be evicted",
					class, values[class], normal)}
			})(s)
		},
	}
}

// priorities are the values of the PriorityClasses by name, those that every
// cluster has included, and the value that pods without a class get.
func priorities(s *cluster.Snapshot) (values map[string]int32, normal int32) {
	values = map[string]int32{"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}
	for _, class := range s.PriorityClasses {
		values[class.Name] = class.Value
		if class.GlobalDefault {
			normal = class.Value
		}
	}
	return values, normal
}

// bestEffort reports whether a Workload's pods are of the QoS class BestEffort
// (kubernetes: pkg/apis/core/v1/helper/qos, ComputePodQOS).
func bestEffort(s *cluster.Snapshot, w *cluster.Workload) bool {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if podRequests(w, name) {
			return false
		}
		for c := range w.Containers() {
			request := s.Resources(c).Requests[name] // a limit is one too
			if !request.IsZero() {
				return false
			}
		}
	}
	return true
}
