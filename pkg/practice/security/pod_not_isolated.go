package security

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PodNotIsolated finds the workloads that a namespace's policies forgot.
//
// Policies isolate only the pods that they select. In a namespace where some
// are isolated, the one whose label was mistyped, or that came later, looks as
// safe as the others and is open.
// https://kubernetes.io/docs/concepts/services-networking/network-policies/
func PodNotIsolated() practice.Practice {
	return practice.Practice{
		ID:       "pod-not-isolated",
		Title:    "Workload that its namespace's policies forgot",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "Network policies isolate only the pods that they select. In a namespace where some are isolated, the workload whose label was mistyped, or that came later, " +
			"looks as safe as the others and is open.",
		Judged: "Each workload on the pod network, in namespaces that have a NetworkPolicy for the direction: one must select its pods. Egress is told as info. " +
			"Namespaces without any policy for a direction are named once, by network-policy-missing. Policies of other APIs (Cilium's, Calico's, AdminNetworkPolicy) are not read.",
		Fix: "add a policy that selects its pods, or better one with podSelector: {} that denies the direction for all",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation",
		},
		Needs:  []cluster.Kind{cluster.NetworkPolicies},
		Judges: cluster.WorkloadKinds(),
		Remedy: isolates(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			covered := coverage(s)
			for _, w := range onPodNetwork(s.Workloads()) {
				ingress := covered.begun[governed{w.Self.Namespace, networkingv1.PolicyTypeIngress}]
				egress := covered.begun[governed{w.Self.Namespace, networkingv1.PolicyTypeEgress}]
				if !ingress && !egress {
					continue
				}
				v.Judged = append(v.Judged, w.Owner)
				if ingress && !covered.ingress[w] {
					v.Findings = append(v.Findings, practice.On(w.Owner, "", "no policy selects its pods for ingress, while others in namespace %s are isolated: they can be reached from anywhere", w.Self.Namespace))
				}
				if egress && !covered.egress[w] {
					v.Findings = append(v.Findings, practice.On(w.Owner, "", "no policy selects its pods for egress, while others in namespace %s are isolated: they can reach anything", w.Self.Namespace).As(report.Info))
				}
			}
			return v
		},
	}
}

// governed is a direction of a namespace's traffic.
type governed struct {
	namespace string
	direction networkingv1.PolicyType
}

// covered says where isolation was begun, and which workloads it reaches.
type covered struct {
	begun           map[governed]bool
	ingress, egress map[*cluster.Workload]bool
}

// coverage notes for each policy what it governs. A policy that allows
// everything isolates nothing on purpose; network-policy-allows-all judges it.
func coverage(s *cluster.Snapshot) covered {
	c := covered{begun: map[governed]bool{}, ingress: map[*cluster.Workload]bool{}, egress: map[*cluster.Workload]bool{}}
	for _, policy := range s.NetworkPolicies {
		selected := s.Selected(policy.Namespace, &policy.Spec.PodSelector)
		for direction, reached := range map[networkingv1.PolicyType]map[*cluster.Workload]bool{
			networkingv1.PolicyTypeIngress: c.ingress, networkingv1.PolicyTypeEgress: c.egress,
		} {
			if !governs(policy, direction) {
				continue
			}
			c.begun[governed{policy.Namespace, direction}] = true
			for _, w := range selected {
				reached[w] = true
			}
		}
	}
	return c
}
