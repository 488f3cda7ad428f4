package security

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// NetworkPolicyAllowsAll finds policies that deny nothing.
//
// In a rule an empty list means all, not none: `from: []` lets everybody in.
// Such a policy counts wherever policies are counted, and policies add up, so
// that it also undoes those beside it.
// https://kubernetes.io/docs/concepts/services-networking/network-policies/
func NetworkPolicyAllowsAll() practice.Practice {
	return practice.Practice{
		ID:       "network-policy-allows-all",
		Title:    "Network policy that allows everything",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "In a rule of a network policy an empty list means all, not none: from: [] lets everybody in. " +
			"Policies add up, so that such a rule also undoes the stricter ones beside it.",
		Judged: "Each rule of each NetworkPolicy without ports: it must not lack its peers, nor name all addresses (0.0.0.0/0 or ::/0 without except), nor all pods of all namespaces. " +
			"A rule with ports is a decision. The same for egress is told as info.",
		Fix: "name the peers, or at least the ports, that the rule is for; to deny a direction, name it in policyTypes and give no rule",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/services-networking/network-policies/#allow-all-ingress-traffic",
			"https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/",
		},
		Needs: []cluster.Kind{cluster.NetworkPolicies},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, policy := range s.NetworkPolicies {
				ref := policyRef(policy)
				v.Judged = append(v.Judged, ref)
				if governs(policy, networkingv1.PolicyTypeIngress) {
					for i, rule := range policy.Spec.Ingress {
						if who := everybody(rule.From); who != "" && len(rule.Ports) == 0 {
							v.Findings = append(v.Findings, practice.On(ref, fmt.Sprintf("spec.ingress[%d]", i), "lets %s reach every port of the pods that it selects (%s)", who, selects(policy)))
						}
					}
				}
				if governs(policy, networkingv1.PolicyTypeEgress) {
					for i, rule := range policy.Spec.Egress {
						if whom := everybody(rule.To); whom != "" && len(rule.Ports) == 0 {
							v.Findings = append(v.Findings, practice.On(ref, fmt.Sprintf("spec.egress[%d]", i), "lets the pods that it selects (%s) reach %s, on every port", selects(policy), whom).As(report.Info))
						}
					}
				}
			}
			return v
		},
	}
}

func policyRef(policy *networkingv1.NetworkPolicy) cluster.Ref {
	return cluster.RefOf("networking.k8s.io/v1", "NetworkPolicy", &policy.ObjectMeta)
}

// selects words a policy's podSelector.
func selects(policy *networkingv1.NetworkPolicy) string {
	if text := metav1.FormatLabelSelector(&policy.Spec.PodSelector); text != "<none>" {
		return text
	}
	return "all of namespace " + policy.Namespace
}

// everybody says whom a rule's peers name when that is everybody; "" when it is
// not.
func everybody(peers []networkingv1.NetworkPolicyPeer) string {
	if len(peers) == 0 {
		return "everybody"
	}
	for _, peer := range peers {
		switch {
		case peer.IPBlock != nil && len(peer.IPBlock.Except) == 0 && strings.HasSuffix(peer.IPBlock.CIDR, "/0"):
			return "every address (" + peer.IPBlock.CIDR + ")"
		case peer.NamespaceSelector != nil && isEmpty(peer.NamespaceSelector) && (peer.PodSelector == nil || isEmpty(peer.PodSelector)):
			return "every pod of every namespace"
		}
	}
	return ""
}

func isEmpty(selector *metav1.LabelSelector) bool {
	return len(selector.MatchLabels)+len(selector.MatchExpressions) == 0
}
