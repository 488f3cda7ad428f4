package security

import (
	"maps"
	"slices"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// KubeletAnonymous finds kubelets that let anybody in.
//
// A kubelet's API runs commands in every container of its node. One that takes
// anonymous requests, or authorises all of them, gives that to whoever reaches
// port 10250.
// https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
func KubeletAnonymous() practice.Practice {
	return practice.Practice{
		ID:       "kubelet-anonymous",
		Title:    "Kubelet that lets anybody in",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason:   "A kubelet's API runs commands in every container of its node. One that authorises every request gives that to whoever reaches port 10250, and its read-only port tells everybody what runs there.",
		Judged: "The configuration of up to 20 ready kubelets, some of each kind of node (configz): authorization.mode AlwaysAllow is critical; anonymous authentication with another mode, " +
			"and a readOnlyPort, are warnings.",
		Fix:          "set authentication.anonymous.enabled: false, authorization.mode: Webhook and readOnlyPort: 0 in the kubelet's configuration",
		Sources:      []string{"https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/", "https://kubernetes.io/docs/concepts/security/hardening-guide/"},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.KubeletConfigs},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, name := range slices.Sorted(maps.Keys(s.KubeletConfigs)) {
				ref := cluster.Ref{APIVersion: "v1", Kind: "Node", Name: name}
				v.Judged = append(v.Judged, ref)
				config := s.KubeletConfigs[name]
				switch anonymous := config.Authentication.Anonymous.Enabled; {
				case config.Authorization.Mode == "AlwaysAllow" && anonymous:
					v.Findings = append(v.Findings, practice.On(ref, "", "its kubelet takes anonymous requests and authorises all of them"))
				case config.Authorization.Mode == "AlwaysAllow":
					v.Findings = append(v.Findings, practice.On(ref, "", "its kubelet authorises every request of whoever has any credential"))
				case anonymous:
					v.Findings = append(v.Findings, practice.On(ref, "", "its kubelet takes anonymous requests, and asks the API server what they may do").As(report.Warning))
				}
				if config.ReadOnlyPort != 0 {
					v.Findings = append(v.Findings, practice.On(ref, "", "its kubelet serves its pods' specifications to everybody on port %d", config.ReadOnlyPort).As(report.Warning))
				}
			}
			return v
		},
	}
}
