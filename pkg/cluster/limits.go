package cluster

import (
	corev1 "k8s.io/api/core/v1"
)

// Resources are the requests and limits a container runs with: its own, filled
// as the API server fills them. A LimitRange of type Container sets unset
// limits from its default and unset requests from its defaultRequest
// (kubernetes: plugin/pkg/admission/limitranger, mergeContainerResources), and
// an unset request becomes the limit (kubernetes: pkg/apis/core/v1,
// SetDefaults_Pod), which happens first.
func (s *Snapshot) Resources(c Container) corev1.ResourceRequirements {
	effective := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	fill(effective.Limits, c.Resources.Limits)
	fill(effective.Requests, c.Resources.Requests)
	fill(effective.Requests, c.Resources.Limits)
	for _, lr := range s.limitRanges[c.Workload.Self.Namespace] {
		for _, item := range lr.Spec.Limits {
			if item.Type == corev1.LimitTypeContainer {
				limits, requests := itemDefaults(item)
				fill(effective.Limits, limits)
				fill(effective.Requests, requests)
			}
		}
	}
	return effective
}

// itemDefaults are a LimitRange's default limits and requests, filled as the
// API server fills them when it stores one, which in manifests is still to
// come (kubernetes: pkg/apis/core/v1, SetDefaults_LimitRangeItem).
func itemDefaults(item corev1.LimitRangeItem) (limits, requests corev1.ResourceList) {
	limits, requests = corev1.ResourceList{}, corev1.ResourceList{}
	fill(limits, item.Default)
	fill(limits, item.Max)
	fill(requests, item.DefaultRequest)
	fill(requests, limits)
	fill(requests, item.Min)
	return limits, requests
}

// fill sets what is not set.
func fill(into, from corev1.ResourceList) {
	for name, quantity := range from {
		if _, set := into[name]; !set {
			into[name] = quantity
		}
	}
}
