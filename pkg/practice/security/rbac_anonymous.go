package security

import (
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RBACAnonymous finds rights that everybody has.
//
// A binding to system:anonymous or system:unauthenticated is a right of the
// internet wherever the API server can be reached. One to system:authenticated
// is a right of every pod, and on some clouds of every account of the provider.
// https://kubernetes.io/docs/concepts/security/rbac-good-practices/
func RBACAnonymous() practice.Practice {
	return practice.Practice{
		ID:       "rbac-anonymous",
		Title:    "Right that is bound to everybody",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "A binding to system:anonymous or system:unauthenticated is a right of whoever reaches the API server. " +
			"One to system:authenticated or system:serviceaccounts is a right of every pod, and with some providers of every account they have.",
		Judged: "Every binding whose subject is system:anonymous, system:unauthenticated (critical), system:authenticated or system:serviceaccounts (a warning). " +
			"Those that Kubernetes and kubeadm make, and those to the roles for discovery that come with Kubernetes, are exempt.",
		Fix: "delete the binding, or bind the role to those who need it",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/security/rbac-good-practices/#hardening",
			"https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles",
		},
		Needs: []cluster.Kind{cluster.ClusterBindings},
		Uses:  []cluster.Kind{cluster.RoleBindings},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, g := range grants(s) {
				who := everybodyIn(g.subject)
				if who == "" {
					continue
				}
				v.Judged = append(v.Judged, g.object)
				if slices.Contains([]string{"system:discovery", "system:basic-user", "system:public-info-viewer", "system:service-account-issuer-discovery"}, g.role.Name) {
					continue
				}
				finding := practice.On(g.object, "subjects", "%s has %s %s %s (%s)", who, g.role.Kind, g.role.Name, g.where(), g.subject.Name)
				if !strings.HasPrefix(who, "anybody") {
					finding = finding.As(report.Warning)
				}
				v.Findings = append(v.Findings, finding)
			}
			return v
		},
	}
}
