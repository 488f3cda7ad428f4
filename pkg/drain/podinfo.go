package drain

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// podInfos make pods into what the scheduler keeps of them. Most of that work is
// what a pod requests, which follows from its spec and its state; the rest, whom
// it keeps away, follows from its affinity and its namespace. Pods that have all
// four in common with one before are given its answer.
type podInfos map[likeness]*framework.PodInfo

// likeness is what pods have in common whose PodInfos differ in the pod alone.
type likeness struct {
	namespace    string
	spec         *corev1.PodSpec
	status       *corev1.PodStatus
	affinity     *corev1.PodAffinity
	antiAffinity *corev1.PodAntiAffinity
}

func likenessOf(kept *cluster.Pod) likeness {
	l := likeness{namespace: kept.Namespace, spec: kept.Spec.PodSpec, status: kept.Status.PodStatus}
	if kept.Spec.Affinity != nil {
		l.affinity, l.antiAffinity = kept.Spec.Affinity.PodAffinity, kept.Spec.Affinity.PodAntiAffinity
	}
	return l
}

// of is the PodInfo of a pod, and kept what pod was made from.
func (infos podInfos) of(kept *cluster.Pod, pod *corev1.Pod) *framework.PodInfo {
	like := likenessOf(kept)
	first := infos[like]
	if first == nil {
		first = newPodInfo(pod)
		first.CalculateResource() // which it keeps
		infos[like] = first
		return first
	}
	info := *first
	info.Pod = pod
	return &info
}

// newPodInfo leaves out terms of affinity that cannot be parsed, as the scheduler
// does for pods that have a node (kubernetes: pkg/scheduler/framework/types.go,
// AddPod).
func newPodInfo(pod *corev1.Pod) *framework.PodInfo {
	info, _ := framework.NewPodInfo(pod)
	return info
}
