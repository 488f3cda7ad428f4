package security

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RBACWildcard finds rights that grow by themselves.
//
// resources: ["*"] means also what the next release and the next operator will
// add, Secrets always included. Nobody reviewed that.
// https://kubernetes.io/docs/concepts/security/rbac-good-practices/
func RBACWildcard() practice.Practice {
	return practice.Practice{
		ID:       "rbac-wildcard",
		Title:    "Right to every resource, by a wildcard",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "resources: [\"*\"] grants Secrets, and also what the next release and the next operator will add. " +
			"Nobody reviewed that, and who breaks into a pod with such a token has all of it.",
		Judged: "Every role that somebody is bound to: its rules must not name all resources of the core API group, or of every group. " +
			"Critical where all verbs on all resources of all groups are granted in the whole cluster. All resources of an operator's own group are in order; " +
			"the roles and bindings that come with Kubernetes are exempt, and cluster-admin is rbac-cluster-admin's.",
		Fix: "name the resources and verbs that are used; kubectl auth can-i --list --as shows what a subject may do",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/security/rbac-good-practices/#least-privilege",
		},
		Needs: []cluster.Kind{cluster.ClusterRoles, cluster.ClusterBindings},
		Uses:  []cluster.Kind{cluster.Roles, cluster.RoleBindings},
		Check: eachGrant(func(g grant) []practice.Finding {
			if g.usual {
				return nil
			}
			for _, rule := range g.rules {
				if !slices.Contains(rule.Resources, "*") || (!slices.Contains(rule.APIGroups, "*") && !slices.Contains(rule.APIGroups, "")) {
					continue
				}
				finding := practice.On(g.object, "", "%smay %s %s %s %s", g.who(), verbsText(rule), resourcesText(rule), g.where(), g.by())
				if isEverything(rule) && g.namespace == "" {
					finding = finding.As(report.Critical)
				}
				return []practice.Finding{finding} // the others of the role are mended with it
			}
			return nil
		}),
	}
}

func verbsText(rule rbacv1.PolicyRule) string {
	if slices.Contains(rule.Verbs, "*") {
		return "do anything to"
	}
	return strings.Join(rule.Verbs, ", ")
}

func resourcesText(rule rbacv1.PolicyRule) string {
	if slices.Contains(rule.APIGroups, "*") {
		return "every resource of every API group"
	}
	return fmt.Sprintf("every resource of %s", groupsText(rule.APIGroups))
}

func groupsText(groups []string) string {
	names := make([]string, 0, len(groups))
	for _, group := range groups {
		if group == "" {
			group = "the core group"
		}
		names = append(names, group)
	}
	return strings.Join(names, ", ")
}
