package cluster

import (
	"slices"

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
	requestsOf := requestsOnce()
	for node, pods := range s.podsByNode {
		sum := Reserved{Requests: corev1.ResourceList{}, Movable: corev1.ResourceList{}}
		for _, pod := range pods {
			if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
				continue
			}
			requests := requestsOf(pod)
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

// requestsOnce is PodRequests, which for pods that share their containers it
// works out once; what it gives is not to be changed.
func requestsOnce() func(*Pod) corev1.ResourceList {
	type alike struct{ containers, init *corev1.Container }
	known := map[alike]corev1.ResourceList{}
	return func(pod *Pod) corev1.ResourceList {
		if decidedElsewhere(pod) || len(pod.Spec.Containers) == 0 {
			return PodRequests(pod.Whole())
		}
		key := alike{containers: &pod.Spec.Containers[0]}
		if len(pod.Spec.InitContainers) > 0 {
			key.init = &pod.Spec.InitContainers[0]
		}
		requests, found := known[key]
		if !found {
			requests = PodRequests(pod.Whole())
			known[key] = requests
		}
		return requests
	}
}

// decidedElsewhere reports whether more than a pod's containers decides what is
// reserved for it: its overhead, resources of the whole pod, or a resize.
func decidedElsewhere(pod *Pod) bool {
	resized := func(status corev1.ContainerStatus) bool {
		return status.Resources != nil || status.AllocatedResources != nil
	}
	return pod.Spec.Overhead != nil || pod.Spec.Resources != nil || pod.Status.Resources != nil || pod.Status.AllocatedResources != nil ||
		slices.ContainsFunc(pod.Status.ContainerStatuses, resized) || slices.ContainsFunc(pod.Status.InitContainerStatuses, resized)
}

// PodRequests is what the scheduler reserves for a pod: its containers' and
// sidecars' requests or, where greater, an init container's, and its overhead;
// while it is being resized, the greater of what it asks for and what it has.
func PodRequests(pod *corev1.Pod) corev1.ResourceList {
	return resource.PodRequests(pod, resource.PodResourcesOptions{UseStatusResources: true})
}

// staysWithNode reports whether a pod is of its node, and is not made anew on
// another one.
func staysWithNode(pod *Pod) bool {
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
