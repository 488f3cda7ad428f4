package security

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RBACEscalation finds rights from which all others follow.
//
// Some rights look small and are steps to cluster-admin: to bind any role, to
// act as somebody else, to have a token made, to reach into a kubelet.
// https://kubernetes.io/docs/concepts/security/rbac-good-practices/
func RBACEscalation() practice.Practice {
	return practice.Practice{
		ID:       "rbac-escalation",
		Title:    "Right that leads to all rights",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "Some rights look small and are steps to cluster-admin: to bind or escalate any role, to act as somebody else, to have a service account's token made, " +
			"to run commands in other pods or through a kubelet, to see and change every object that is written.",
		Judged: "Every role that somebody is bound to: escalate and bind on roles, impersonate, create on serviceaccounts/token, nodes/proxy, create on pods/exec and pods/attach, " +
			"approve on signers, and writing of webhook configurations, none of them narrowed by resourceNames. Critical where it leads to the whole cluster at once, else a warning. " +
			"What comes with Kubernetes is exempt (but for edit and admin in the whole cluster), and what rbac-wildcard and rbac-cluster-admin name is not told twice.",
		Fix: "take the right from the role, narrow it with resourceNames, or grant it in one namespace only",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/security/rbac-good-practices/#privilege-escalation-risks",
			"https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping",
		},
		Needs: []cluster.Kind{cluster.ClusterRoles, cluster.ClusterBindings},
		Uses:  []cluster.Kind{cluster.Roles, cluster.RoleBindings},
		Check: eachGrant(func(g grant) []practice.Finding {
			if g.isAdmin() || isSystemRole(g) || (g.usual && g.namespace != "") {
				return nil
			}
			var may []string
			severity := report.Warning
			for _, p := range powers() {
				if p.clusterOnly && g.namespace != "" || !p.grantedBy(g.rules) {
					continue
				}
				may = append(may, p.says)
				if p.severity == report.Critical && g.namespace == "" {
					severity = report.Critical
				}
			}
			if len(may) == 0 {
				return nil
			}
			return []practice.Finding{practice.On(g.object, "", "%smay %s %s %s", g.who(), strings.Join(may, ", "), g.where(), g.by()).As(severity)}
		}),
	}
}

// power is a right from which others follow.
type power struct {
	group     string
	resources []string
	verbs     []string
	says      string
	severity  report.Severity
	// clusterOnly powers mean nothing within a namespace.
	clusterOnly bool
}

func powers() []power {
	return []power{
		{rbacv1.GroupName, []string{"clusterroles", "roles"}, []string{"escalate"}, "write any right into a role (escalate)", report.Critical, false},
		{rbacv1.GroupName, []string{"clusterroles", "roles"}, []string{"bind"}, "give any role to anybody (bind)", report.Critical, false},
		{"", []string{"users", "groups", "serviceaccounts"}, []string{"impersonate"}, "act as anybody else (impersonate)", report.Critical, false},
		{"", []string{"nodes/proxy"}, []string{"get", "create"}, "run commands in every pod through the kubelets (nodes/proxy)", report.Critical, true},
		{"", []string{"serviceaccounts/token"}, []string{"create"}, "have any service account's token made (serviceaccounts/token)", report.Critical, false},
		{"", []string{"pods/exec", "pods/attach"}, []string{"create", "get"}, "run commands in any pod (pods/exec)", report.Warning, false},
		{"certificates.k8s.io", []string{"signers"}, []string{"approve"}, "have certificates of any user signed (approve)", report.Warning, true},
		{"admissionregistration.k8s.io", []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}, []string{"create", "update", "patch"},
			"see and change what is written to the API (webhook configurations)", report.Warning, true},
	}
}

func (p power) grantedBy(rules []rbacv1.PolicyRule) bool {
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool {
		return slices.ContainsFunc(p.resources, func(resource string) bool { return allows(rule, p.group, resource, p.verbs...) })
	})
}
