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

// ResourceQuotaMissing finds namespaces that may take the whole cluster.
//
// Without a quota one namespace's autoscaler, a loop that creates Jobs or a
// mistyped replica count takes the room of all the others.
// https://kubernetes.io/docs/concepts/policy/resource-quotas/
func ResourceQuotaMissing() practice.Practice {
	return practice.Practice{
		ID:       "resource-quota-missing",
		Title:    "Namespace without a quota on CPU and memory",
		Chapter:  practice.Pitfalls,
		Severity: report.Warning,
		Reason:   "Without a quota one namespace's autoscaler, a loop that creates Jobs or a mistyped replica count takes the room of all the others.",
		Judged: "Each namespace in which something runs, the platform's excepted: its ResourceQuotas must bound CPU and memory, by requests or by limits. " +
			"Quotas on counts of objects alone, as some providers put into every namespace, do not.",
		Fix: "create a ResourceQuota on requests.cpu and requests.memory, with a LimitRange that gives containers defaults",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/policy/resource-quotas/",
			"https://kubernetes.io/docs/tasks/administer-cluster/manage-resources/quota-memory-cpu-namespace/",
		},
		Needs:  []cluster.Kind{cluster.ResourceQuotas},
		Judges: cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does: "creates a ResourceQuota on requests.cpu and requests.memory at one and a half times what the namespace's workloads may request at once: at their autoscalers' maximum, with a rollout's surge, " +
				"Jobs and DaemonSets included; refused where a container requests nothing (its next pod would be refused), or how far something scales is not known",
			Uses:    []cluster.Kind{cluster.LimitRanges, cluster.Autoscalers, cluster.ScaledObjects, cluster.Nodes},
			Propose: createQuota,
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			quotasOf := map[string][]*corev1.ResourceQuota{}
			for _, quota := range s.ResourceQuotas {
				quotasOf[quota.Namespace] = append(quotasOf[quota.Namespace], quota)
			}
			for _, name := range s.PopulatedNamespaces() {
				if cluster.IsPlatform(name) {
					continue
				}
				namespace := practice.NamespaceRef(name)
				v.Judged = append(v.Judged, namespace)
				if unbounded := unboundedBy(quotasOf[name]); len(unbounded) > 0 {
					v.Findings = append(v.Findings, practice.On(namespace, "", "%s",
						unboundedMessage(quotasOf[name], unbounded, len(s.WorkloadsIn(name)))).
						Mended("kubectl create quota compute -n %s --hard=requests.cpu=…,requests.memory=…, with a LimitRange for defaults", name))
				}
			}
			return v
		},
	}
}

// unboundedBy are those of CPU and memory that no quota bounds. A quota with
// scopes bounds a part of the pods, and counts: the rest may be meant to be free.
func unboundedBy(quotas []*corev1.ResourceQuota) []string {
	var unbounded []string
	for _, resource := range []struct {
		name  string
		names []corev1.ResourceName
	}{
		{"CPU", []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceRequestsCPU, corev1.ResourceLimitsCPU}},
		{"memory", []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceRequestsMemory, corev1.ResourceLimitsMemory}},
	} {
		if !slices.ContainsFunc(quotas, func(q *corev1.ResourceQuota) bool { return bounds(q, resource.names) }) {
			unbounded = append(unbounded, resource.name)
		}
	}
	return unbounded
}

func bounds(q *corev1.ResourceQuota, names []corev1.ResourceName) bool {
	return slices.ContainsFunc(names, func(name corev1.ResourceName) bool {
		_, bounded := q.Spec.Hard[name]
		return bounded
	})
}

func unboundedMessage(quotas []*corev1.ResourceQuota, unbounded []string, workloads int) string {
	said := fmt.Sprintf("no ResourceQuota bounds the %s of its workloads (%d)", strings.Join(unbounded, " and "), workloads)
	if len(quotas) == 0 {
		return said
	}
	names := make([]string, 0, len(quotas))
	for _, q := range quotas {
		names = append(names, q.Name)
	}
	return said + "; there is only " + strings.Join(names, ", ")
}
