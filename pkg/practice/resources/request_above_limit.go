package resources

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RequestAboveLimit finds containers whose pods no API server accepts.
//
// A request above its limit is invalid. In a template on a live cluster it
// comes from a LimitRange: the default limit fills what the template leaves
// open, below its request, and from then on no new pod is made.
// https://kubernetes.io/docs/concepts/policy/limit-range/
func RequestAboveLimit() practice.Practice {
	return practice.Practice{
		ID:       "request-above-limit",
		Title:    "Container that requests more than its limit",
		Chapter:  practice.Resources,
		Severity: report.Critical,
		Reason: "The API server refuses a container that requests more than its limit. Written so, it cannot be applied; where a LimitRange's default limit makes it so, " +
			"the workload stands, but none of its pods is made again.",
		Judged: "Each container of each workload's template, init containers included, and the pod as a whole: each request against its limit, after a LimitRange of the namespace filled what is unset. " +
			"A container's own request against the pod's limit, and the LimitRange's own bounds, are not judged.",
		Fix: "set the limit to at least the request; where a LimitRange fills it, spell it out",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/policy/limit-range/#limitrange-and-admission-checks-for-pods",
			"https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
		},
		Judges: cluster.WorkloadKinds(),
		Uses:   []cluster.Kind{cluster.LimitRanges},
		Check: practice.EachWorkload(nil, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			var findings []practice.Finding
			for c := range w.Containers() {
				effective := s.Resources(c)
				for _, name := range sortedNames(effective.Requests) {
					request, limit := effective.Requests[name], effective.Limits[name]
					if _, limited := effective.Limits[name]; !limited || request.Cmp(limit) <= 0 {
						continue
					}
					from := ""
					if _, written := c.Resources.Limits[name]; !written {
						from = ", which a LimitRange fills in"
					}
					findings = append(findings, practice.On(w.Owner, c.Path+".resources.requests."+string(name),
						"container %q requests %s of %s, above its limit of %s%s: its pods are refused", c.Name, request.String(), spoken(name), limit.String(), from))
				}
			}
			return append(findings, podAboveLimit(w)...)
		}),
	}
}

// podAboveLimit judges the requests of the pod as a whole.
func podAboveLimit(w *cluster.Workload) []practice.Finding {
	whole := w.Template.Spec.Resources
	if whole == nil {
		return nil
	}
	var findings []practice.Finding
	for _, name := range sortedNames(whole.Requests) {
		request, limit := whole.Requests[name], whole.Limits[name]
		if _, limited := whole.Limits[name]; limited && request.Cmp(limit) > 0 {
			findings = append(findings, practice.On(w.Owner, w.TemplatePath+".resources.requests."+string(name),
				"the pod requests %s of %s, above its limit of %s: it is refused", request.String(), spoken(name), limit.String()))
		}
	}
	return findings
}

func sortedNames(list corev1.ResourceList) []corev1.ResourceName {
	names := make([]corev1.ResourceName, 0, len(list))
	for name := range list {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b corev1.ResourceName) int { return strings.Compare(string(a), string(b)) })
	return names
}
