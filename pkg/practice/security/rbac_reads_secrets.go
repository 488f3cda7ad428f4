package security

import (
	"slices"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RBACReadsSecrets finds who may read every Secret of the cluster.
//
// The Secrets of all namespaces together are the cluster: tokens of service
// accounts, registry passwords, private keys. list and watch return bodies,
// as get does.
// https://kubernetes.io/docs/concepts/security/rbac-good-practices/
func RBACReadsSecrets() practice.Practice {
	return practice.Practice{
		ID:       "rbac-reads-secrets",
		Title:    "Right to read the Secrets of every namespace",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "The Secrets of all namespaces together are the cluster: tokens, registry passwords, private keys. " +
			"Who breaks into a pod with this right has them all; list and watch return the values, as get does.",
		Judged: "Every ClusterRoleBinding to a role that names secrets with get, list, watch or all verbs, and no resourceNames; view, edit and admin of the whole cluster where they do. " +
			"What rbac-wildcard and rbac-cluster-admin name is not told twice. Rights within one namespace are not judged.",
		Fix: "bind the role in the namespaces that need it, or name the Secrets with resourceNames",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/security/rbac-good-practices/#listing-secrets",
		},
		Needs: []cluster.Kind{cluster.ClusterRoles, cluster.ClusterBindings},
		Check: eachGrant(func(g grant) []practice.Finding {
			if g.namespace != "" || g.isAdmin() || isSystemRole(g) {
				return nil
			}
			for _, rule := range g.rules {
				if allows(rule, "", "secrets", "get", "list", "watch") {
					return []practice.Finding{practice.On(g.object, "", "%smay read every Secret of every namespace %s", g.who(), g.by())}
				}
			}
			return nil
		}),
	}
}

// isSystemRole reports whether a role was made for one component of Kubernetes.
func isSystemRole(g grant) bool {
	return g.usual && !slices.Contains([]string{"admin", "edit", "view", "cluster-admin"}, g.role.Name)
}
