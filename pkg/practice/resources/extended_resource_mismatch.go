package resources

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ExtendedResourceMismatch finds requests for GPUs and the like that no API
// server accepts.
//
// A device cannot be overcommitted: its request and its limit have to be the
// same whole number, and the request alone is refused.
// https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/
func ExtendedResourceMismatch() practice.Practice {
	return practice.Practice{
		ID:       "extended-resource-mismatch",
		Title:    "GPU or other device requested otherwise than limited",
		Chapter:  practice.Resources,
		Severity: report.Critical,
		Reason: "A device, a huge page or any other extended resource cannot be overcommitted. The API server refuses a request without a limit, " +
			"one that differs from its limit, and parts of a device.",
		Judged: "Each container's requests and limits of resources with a domain of their own (nvidia.com/gpu …) and of huge pages. A limit alone is in order: it becomes the request.",
		Fix:    "set the limit alone, to a whole number",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/",
			"https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#consuming-extended-resources",
		},
		Judges: cluster.WorkloadKinds(),
		Check: practice.EachContainer(func(_ *cluster.Snapshot, c cluster.Container) []practice.Finding {
			var findings []practice.Finding
			both := corev1.ResourceList{}
			maps.Copy(both, c.Resources.Requests)
			maps.Copy(both, c.Resources.Limits)
			for _, name := range sortedNames(both) {
				if wrong := mismatch(c, name); wrong != "" {
					findings = append(findings, practice.On(c.Workload.Owner, c.Path+".resources.limits."+string(name), "container %q %s: its pods are refused", c.Name, wrong))
				}
			}
			return findings
		}),
	}
}

// mismatch says what is wrong with a container's share of a resource that
// cannot be overcommitted; "" when nothing is.
func mismatch(c cluster.Container, name corev1.ResourceName) string {
	hugePages := strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
	if !isDevice(name) && !hugePages {
		return ""
	}
	request, requested := c.Resources.Requests[name]
	limit, limited := c.Resources.Limits[name]
	switch {
	case !limited:
		return fmt.Sprintf("requests %s of %s without a limit", request.String(), name)
	case requested && request.Cmp(limit) != 0:
		return fmt.Sprintf("requests %s of %s, and limits it to %s", request.String(), name, limit.String())
	case !hugePages && limit.MilliValue()%1000 != 0:
		return fmt.Sprintf("asks for a part of a device, %s of %s", limit.String(), name)
	}
	return ""
}

// isDevice reports whether a resource is an extended one: it has a domain, and
// that is not Kubernetes' own.
func isDevice(name corev1.ResourceName) bool {
	domain, _, qualified := strings.Cut(string(name), "/")
	return qualified && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io")
}
