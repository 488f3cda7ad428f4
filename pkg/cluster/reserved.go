package cluster

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// Reserved is what the pods on a node hold of it.
type Reserved struct {
	// Pods counts those that have not ended.
	Pods int
	// Requests is what they request together.
	Requests corev1.ResourceList
	// Movable is the part of Requests that would have to go elsewhere with the
	// node: all but that of DaemonSets' and static pods, which stay with it.
	Movable corev1.ResourceList
}

// ReservedOn is what the pods on a node hold of it.
func (s *Snapshot) ReservedOn(node string) Reserved { return s.reserved()[node] }

// indexReserved adds up the pods of each node. Pods that ended hold nothing.
func (s *Snapshot) indexReserved() map[string]Reserved {
	all := make(map[string]Reserved, len(s.Nodes))
	for node, pods := range s.podsByNode {
		sum := Reserved{Requests: corev1.ResourceList{}, Movable: corev1.ResourceList{}}
		for _, pod := range pods {
			if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
				continue
			}
			requests := PodRequests(pod)
			sum.Pods++
			add(sum.Requests, requests)
			if !staysWithNode(pod) {
				add(sum.Movable, requests)
			}
		}
		all[node] = sum
	}
	return all
}

// PodRequests is what the scheduler reserves for a pod: its containers' and
// sidecars' requests or, where greater, an init container's, and its overhead.
func PodRequests(pod *corev1.Pod) corev1.ResourceList {
	return resource.PodRequests(pod, resource.PodResourcesOptions{})
}

// staysWithNode reports whether a pod is of its node, and is not made anew on
// another one.
func staysWithNode(pod *corev1.Pod) bool {
	for _, owner := range pod.OwnerReferences {
		if owner.Controller != nil && *owner.Controller && (owner.Kind == "DaemonSet" || owner.Kind == "Node") {
			return true
		}
	}
	return false
}

func add(total, more corev1.ResourceList) {
	for name, quantity := range more {
		sum := total[name]
		sum.Add(quantity)
		total[name] = sum
	}
}
