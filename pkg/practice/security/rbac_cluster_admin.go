package security

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RBACClusterAdmin finds who may do everything.
//
// A service account's token lies in the pods that use it. With cluster-admin,
// who breaks into one of them has the cluster, every Secret and every node.
// https://kubernetes.io/docs/concepts/security/rbac-good-practices/
func RBACClusterAdmin() practice.Practice {
	return practice.Practice{
		ID:       "rbac-cluster-admin",
		Title:    "Service account or user bound to cluster-admin",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "A service account's token lies in the pods that use it. With cluster-admin, who breaks into one of them has the cluster, every Secret and every node. " +
			"A person who works with it every day does so also by mistake.",
		Judged: "Every binding to the ClusterRole cluster-admin: critical for a service account in the whole cluster; a warning for users and groups, and within one namespace. " +
			"The bindings that Kubernetes and kubeadm make are exempt.",
		Fix: "bind a role with what is used and no more; keep cluster-admin for emergencies",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/security/rbac-good-practices/#least-privilege",
			"https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles",
		},
		Needs: []cluster.Kind{cluster.ClusterBindings},
		Uses:  []cluster.Kind{cluster.RoleBindings},
		Check: eachGrant(func(g grant) []practice.Finding {
			if g.role.Kind != "ClusterRole" || g.role.Name != "cluster-admin" {
				return nil
			}
			finding := practice.On(g.object, "", "%smay do everything %s %s", g.who(), g.where(), g.by())
			if g.namespace != "" || g.subject.Kind == rbacv1.UserKind || g.subject.Kind == rbacv1.GroupKind {
				finding = finding.As(report.Warning)
			}
			return []practice.Finding{finding}
		}),
	}
}
