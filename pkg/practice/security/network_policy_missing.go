package security

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// NetworkPolicyMissing finds namespaces that let everything through.
//
// Without a policy every pod may talk to every pod, of any namespace: one that
// is broken into reaches the database of another team. A policy that denies by
// default makes each allowed edge a written decision.
// https://kubernetes.io/docs/concepts/services-networking/network-policies/
func NetworkPolicyMissing() practice.Practice {
	return practice.Practice{
		ID:       "network-policy-missing",
		Title:    "Namespace without a default-deny network policy",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "Without a network policy every pod may talk to every pod, of any namespace: one that is broken into reaches the database of another team. " +
			"A policy that denies by default makes each allowed edge a written decision.",
		Judged: "Each namespace in which pods run on the pod network, the platform's excepted: a NetworkPolicy must select all its pods (podSelector: {}) for ingress, " +
			"and not allow everything. The same for egress is told as info. Policies of other APIs (Cilium's, Calico's, AdminNetworkPolicy) are not read.",
		Fix: "add a NetworkPolicy with podSelector: {} that denies the direction, together with one for each edge that is needed",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-policies",
		},
		Needs:  []cluster.Kind{cluster.NetworkPolicies},
		Judges: cluster.WorkloadKinds(),
		Remedy: isolates(),
		Check:  checkNetworkPolicies,
	}
}

func checkNetworkPolicies(s *cluster.Snapshot) practice.Verdict {
	var v practice.Verdict
	policies := map[string][]*networkingv1.NetworkPolicy{}
	for _, policy := range s.NetworkPolicies {
		policies[policy.Namespace] = append(policies[policy.Namespace], policy)
	}
	for _, name := range s.PopulatedNamespaces() {
		reachable := onPodNetwork(s.WorkloadsIn(name))
		if len(reachable) == 0 || cluster.IsPlatform(name) {
			continue
		}
		namespace := practice.NamespaceRef(name)
		v.Judged = append(v.Judged, namespace)
		for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
			if !slices.ContainsFunc(policies[name], func(p *networkingv1.NetworkPolicy) bool { return deniesByDefault(p, direction) }) {
				open := len(reachable) - isolated(s, name, policies[name], direction)
				v.Findings = append(v.Findings, openNamespace(namespace, direction, open, len(reachable)))
			}
		}
	}
	return v
}

// onPodNetwork leaves out the workloads on their node's network, which no
// network policy reaches.
func onPodNetwork(all []*cluster.Workload) []*cluster.Workload {
	return slices.DeleteFunc(slices.Clone(all), func(w *cluster.Workload) bool { return w.Template.Spec.HostNetwork })
}

// deniesByDefault reports whether a policy isolates every pod of its namespace
// in a direction. One that allows some edges at once still does; one with a
// rule that allows everything does not.
func deniesByDefault(p *networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	everyPod := len(p.Spec.PodSelector.MatchLabels)+len(p.Spec.PodSelector.MatchExpressions) == 0
	return everyPod && governs(p, direction) && !allowsAll(p, direction)
}

// governs reports whether a policy is about a direction; where it does not
// say, it is about ingress, and about egress when it has such rules.
func governs(p *networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	if len(p.Spec.PolicyTypes) > 0 {
		return slices.Contains(p.Spec.PolicyTypes, direction)
	}
	return direction == networkingv1.PolicyTypeIngress || len(p.Spec.Egress) > 0
}

func allowsAll(p *networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	if direction == networkingv1.PolicyTypeIngress {
		return slices.ContainsFunc(p.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
			return len(r.From) == 0 && len(r.Ports) == 0
		})
	}
	return slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
		return len(r.To) == 0 && len(r.Ports) == 0
	})
}

// isolated counts the workloads on the pod network that some policy isolates
// in a direction.
func isolated(s *cluster.Snapshot, namespace string, policies []*networkingv1.NetworkPolicy, direction networkingv1.PolicyType) int {
	covered := map[*cluster.Workload]bool{}
	for _, p := range policies {
		if governs(p, direction) && !allowsAll(p, direction) {
			for _, w := range onPodNetwork(s.Selected(namespace, &p.Spec.PodSelector)) {
				covered[w] = true
			}
		}
	}
	return len(covered)
}

func openNamespace(namespace cluster.Ref, direction networkingv1.PolicyType, open, all int) practice.Finding {
	kind, can, severity := "ingress", "be reached from anywhere", report.Warning
	if direction == networkingv1.PolicyTypeEgress {
		kind, can, severity = "egress", "reach anything", report.Info
	}
	if open == 0 {
		return practice.On(namespace, "", "no policy denies %s by default: each of its workloads (%d) has a policy of its own, but the next one can %s", kind, all, can).As(severity)
	}
	return practice.On(namespace, "", "no policy denies %s by default: %d of %d workloads can %s", kind, open, all, can).As(severity)
}
