package security

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// NetworkPolicySelectsNothing finds policies about pods that are not there.
//
// A selector with a mistyped label is as valid as any. The policy stands in the
// review and in the audit, and the pods that it was for are open, or cut off
// from the peer that it was to let in.
// https://kubernetes.io/docs/concepts/services-networking/network-policies/
func NetworkPolicySelectsNothing() practice.Practice {
	return practice.Practice{
		ID:       "network-policy-selects-nothing",
		Title:    "Network policy whose selector matches nothing",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "A selector with a mistyped label is as valid as any. The policy stands in the review and in the audit, and the pods that it was for are open, " +
			"or cut off from the peer that it was to let in.",
		Judged: "The podSelector of each NetworkPolicy, and of each peer in its own namespace, against the pod templates and pods of the namespace: one must match. " +
			"Peers in other namespaces are not judged. Of manifests, only the namespaces that they declare. Pods that exist at times only, as a workflow's, are missed.",
		Fix: "correct the selector, or delete the policy; kubectl get pods --show-labels shows what there is",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-resource",
		},
		Needs: append([]cluster.Kind{cluster.NetworkPolicies}, cluster.WorkloadKinds()...),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, policy := range s.NetworkPolicies {
				if !s.Origin.Live && s.Namespace(policy.Namespace) == nil {
					continue // what else the namespace holds, the files do not say
				}
				v.Judged = append(v.Judged, policyRef(policy))
				if !isEmpty(&policy.Spec.PodSelector) && len(s.Selected(policy.Namespace, &policy.Spec.PodSelector)) == 0 {
					v.Findings = append(v.Findings, practice.On(policyRef(policy), "spec.podSelector", "selects no pod of namespace %s (%s): it does nothing",
						policy.Namespace, metav1.FormatLabelSelector(&policy.Spec.PodSelector)))
					continue
				}
				v.Findings = append(v.Findings, missingPeers(s, policy)...)
			}
			return v
		},
	}
}

// missingPeers finds the peers in the policy's own namespace that match nothing.
func missingPeers(s *cluster.Snapshot, policy *networkingv1.NetworkPolicy) []practice.Finding {
	var findings []practice.Finding
	judge := func(path string, peers []networkingv1.NetworkPolicyPeer) {
		for i, peer := range peers {
			if peer.PodSelector == nil || peer.NamespaceSelector != nil || isEmpty(peer.PodSelector) || len(s.Selected(policy.Namespace, peer.PodSelector)) > 0 {
				continue
			}
			findings = append(findings, practice.On(policyRef(policy), fmt.Sprintf("%s[%d].podSelector", path, i),
				"names a peer that matches no pod of namespace %s (%s)", policy.Namespace, metav1.FormatLabelSelector(peer.PodSelector)))
		}
	}
	for i, rule := range policy.Spec.Ingress {
		judge(fmt.Sprintf("spec.ingress[%d].from", i), rule.From)
	}
	for i, rule := range policy.Spec.Egress {
		judge(fmt.Sprintf("spec.egress[%d].to", i), rule.To)
	}
	return findings
}
