package security

import (
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// NetworkPolicyUnenforced finds clusters where policies are letters on paper.
//
// The API server stores network policies; the network plugin enforces them, or
// does not, and nothing tells which. With flannel alone every policy is
// accepted and no packet is dropped.
// https://kubernetes.io/docs/concepts/services-networking/network-policies/
func NetworkPolicyUnenforced() practice.Practice {
	return practice.Practice{
		ID:       "network-policy-unenforced",
		Title:    "Network plugin that does not enforce network policies",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "The API server stores network policies; the network plugin enforces them, or does not, and nothing tells which. " +
			"With flannel alone every policy is accepted and no packet is dropped.",
		Judged: "The images of the cluster's DaemonSets: those of a plugin known to enforce policies (Calico, Canal, Cilium, Antrea, kube-router, Weave, OVN-Kubernetes, Azure NPM, " +
			"kube-network-policies, the AWS agent), or only of one known not to (flannel, the AWS plugin alone). Critical where the cluster has policies, a warning where it has none yet. " +
			"Not judged where neither is found, as with a plugin that runs outside DaemonSets (K3s), nor for kindnet, of which only later releases enforce.",
		Fix: "run a plugin, or an agent beside it, that enforces network policies",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/services-networking/network-policies/#prerequisites",
			"https://github.com/flannel-io/flannel/blob/master/Documentation/netpol.md",
			"https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.DaemonSets, cluster.NetworkPolicies},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			idle := ""
			for _, d := range s.DaemonSets {
				for _, c := range slices.Concat(d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers) {
					if enforces(c.Image) {
						return practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
					}
					if plugin := ignoresPolicies(c.Image); plugin != "" && idle == "" {
						idle = plugin + " (DaemonSet " + d.Namespace + "/" + d.Name + ")"
					}
				}
			}
			if idle == "" {
				return practice.Verdict{NotChecked: "no DaemonSet of a network plugin whose ways with policies are known"}
			}
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			if n := len(s.NetworkPolicies); n > 0 {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the network plugin, %s, does not enforce network policies, and the cluster has %d: none has an effect", idle, n))
			} else {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the network plugin, %s, does not enforce network policies", idle).As(report.Warning))
			}
			return v
		},
	}
}

// enforces reports whether an image is of a plugin that enforces policies.
func enforces(image string) bool {
	return slices.ContainsFunc([]string{
		"calico/node", "calico-node", "cilium/cilium", "/cilium", "antrea/antrea-agent", "antrea-agent", "kube-router", "weave-npc",
		"ovn-kubernetes", "azure-npm", "kube-network-policies", "aws-network-policy-agent", "kube-ovn",
	}, func(name string) bool { return strings.Contains(repository(image), name) })
}

// ignoresPolicies names the plugin that an image is of, when alone it enforces
// none.
func ignoresPolicies(image string) string {
	switch name := repository(image); {
	case strings.HasSuffix(name, "/flannel"), strings.HasSuffix(name, "/mirrored-flannel-flannel"), strings.HasSuffix(name, "/hardened-flannel"):
		return "flannel"
	case strings.HasSuffix(name, "/amazon-k8s-cni"):
		return "the AWS VPC CNI without its policy agent"
	}
	return ""
}

// repository is an image's name without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	slash := strings.LastIndex(image, "/")
	name, _, _ := strings.Cut(image[slash+1:], ":")
	return image[:slash+1] + name
}
