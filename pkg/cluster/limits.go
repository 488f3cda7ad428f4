package cluster

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// Resources are the requests and limits a container runs with: its own, filled
// as the API server fills them. A LimitRange of type Container sets unset
// limits from its default and unset requests from its defaultRequest
// (kubernetes: plugin/pkg/admission/limitranger, mergeContainerResources), and
// an unset request becomes the limit (kubernetes: pkg/apis/core/v1,
// SetDefaults_Pod), which happens first. The lists are the objects' own where
// nothing is to fill.
func (s *Snapshot) Resources(c Container) corev1.ResourceRequirements {
	limits, requests := c.Resources.Limits, filled(c.Resources.Requests, c.Resources.Limits)
	for _, lr := range s.limitRanges[c.Workload.Self.Namespace] {
		for _, item := range lr.Spec.Limits {
			if item.Type == corev1.LimitTypeContainer {
				limit, request := itemDefaults(item)
				limits, requests = filled(limits, limit), filled(requests, request)
			}
		}
	}
	return corev1.ResourceRequirements{Limits: limits, Requests: requests}
}

// itemDefaults are a LimitRange's default limits and requests, filled as the
// API server fills them when it stores one, which in manifests is still to
// come (kubernetes: pkg/apis/core/v1, SetDefaults_LimitRangeItem).
func itemDefaults(item corev1.LimitRangeItem) (limits, requests corev1.ResourceList) {
	limits = filled(item.Default, item.Max)
	return limits, filled(filled(item.DefaultRequest, limits), item.Min)
}

// filled is a list with what is not set in it set as in another. Where nothing
// is missing it is the list itself, so that nobody may write to it.
func filled(list, from corev1.ResourceList) corev1.ResourceList {
	copied := false
	for name, quantity := range from {
		if _, set := list[name]; set {
			continue
		}
		if !copied {
			list, copied = maps.Clone(list), true
		}
		if list == nil {
			list = corev1.ResourceList{}
		}
		list[name] = quantity
	}
	return list
}
