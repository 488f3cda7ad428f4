package pitfalls

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// LimitRangeMissing finds namespaces without a default for the forgetful.
//
// A LimitRange gives what a container does not ask for. Without one, the next
// workload whose author forgets a limit may use a whole node; and under a quota
// on requests, its pods are refused.
// https://kubernetes.io/docs/concepts/policy/limit-range/
func LimitRangeMissing() practice.Practice {
	return practice.Practice{
		ID:       "limit-range-missing",
		Title:    "Namespace without default requests and limits",
		Chapter:  practice.Pitfalls,
		Severity: report.Warning,
		Reason: "A LimitRange gives a container the requests and limits that it does not ask for. Without one, the next workload whose author forgets them may use a whole node; " +
			"and under a quota on requests its pods are refused.",
		Judged: "Each namespace in which something runs, the platform's excepted: a LimitRange of type Container must set default, defaultRequest, max or min, which all fill what is unset. " +
			"A warning where some container of the namespace lacks a CPU request, a memory request or a memory limit, which it would have filled; info where none does.",
		Fix: "create a LimitRange with defaultRequest for CPU and memory, and default for memory",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/policy/limit-range/",
			"https://kubernetes.io/docs/tasks/administer-cluster/manage-resources/memory-default-namespace/",
		},
		Needs:  []cluster.Kind{cluster.LimitRanges},
		Judges: cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does: "creates a LimitRange that gives containers 100m of CPU and 128Mi of memory as requests, and 512Mi of memory as limit, where they ask for nothing; " +
				"refused while some container has no memory limit, or no requests, of its own, since the defaults would become its own at its next restart",
			Propose: createLimitRange,
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			fills := map[string]bool{}
			for _, lr := range s.LimitRanges {
				fills[lr.Namespace] = fills[lr.Namespace] || slices.ContainsFunc(lr.Spec.Limits, fillsContainers)
			}
			for _, name := range s.PopulatedNamespaces() {
				if cluster.IsPlatform(name) {
					continue
				}
				namespace := practice.NamespaceRef(name)
				v.Judged = append(v.Judged, namespace)
				if !fills[name] {
					v.Findings = append(v.Findings, withoutDefaults(s, namespace))
				}
			}
			return v
		},
	}
}

func fillsContainers(item corev1.LimitRangeItem) bool {
	return item.Type == corev1.LimitTypeContainer && len(item.Default)+len(item.DefaultRequest)+len(item.Max)+len(item.Min) > 0
}

// withoutDefaults words what a default would have filled.
func withoutDefaults(s *cluster.Snapshot, namespace cluster.Ref) practice.Finding {
	var all, noCPU, noMemory, noLimit int
	for _, w := range s.WorkloadsIn(namespace.Name) {
		whole := w.Template.Spec.Resources
		for c := range w.Containers() {
			if c.Init || whole != nil {
				continue // it runs in what the others, or the pod, have reserved
			}
			all++
			effective := s.Resources(c)
			noCPU += unset(effective.Requests, corev1.ResourceCPU)
			noMemory += unset(effective.Requests, corev1.ResourceMemory)
			noLimit += unset(effective.Limits, corev1.ResourceMemory)
		}
	}
	var lacking []string
	for _, l := range []struct {
		n    int
		what string
	}{{noCPU, "CPU request"}, {noMemory, "memory request"}, {noLimit, "memory limit"}} {
		if l.n > 0 {
			lacking = append(lacking, fmt.Sprintf("%d without a %s", l.n, l.what))
		}
	}
	if len(lacking) == 0 {
		return practice.On(namespace, "", "no LimitRange gives containers defaults; each of its containers (%d) sets its own, but the next one may not", all).As(report.Info)
	}
	return practice.On(namespace, "", "no LimitRange gives containers defaults: of %d containers, %s", all, strings.Join(lacking, ", "))
}

func unset(list corev1.ResourceList, name corev1.ResourceName) int {
	if _, set := list[name]; set {
		return 0
	}
	return 1
}
