package security

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RBACDangling finds bindings to what is no longer there.
//
// A binding to a role that was deleted grants nothing, until somebody makes a
// role of that name. One to a service account that was deleted grants its
// rights to whoever makes the next of that name.
// https://kubernetes.io/docs/concepts/security/rbac-good-practices/
func RBACDangling() practice.Practice {
	return practice.Practice{
		ID:       "rbac-dangling",
		Title:    "Binding to a role or service account that does not exist",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "A binding to a role that was deleted grants nothing, until somebody makes one of that name. " +
			"A binding to a service account that was deleted grants its rights to whoever makes the next of that name, which takes far smaller rights.",
		Judged: "Every RoleBinding and ClusterRoleBinding: its role, and each service account among its subjects, must exist. " +
			"Users and groups cannot be looked up. The bindings that come with Kubernetes are exempt.",
		Fix: "delete the binding, or the subject that is gone from it",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/security/rbac-good-practices/#periodic-review",
		},
		LiveOnly: true,
		Needs:    append(rbacKinds(), cluster.ServiceAccounts),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			exists := existingRoles(s)
			judge := func(meta *metav1.ObjectMeta, kind string, role rbacv1.RoleRef, subjects []rbacv1.Subject) {
				if comesWithKubernetes(meta) {
					return
				}
				ref := bindingRef(kind, meta)
				v.Judged = append(v.Judged, ref)
				namespace := meta.Namespace
				if role.Kind == "ClusterRole" {
					namespace = ""
				}
				if !exists[cluster.Ref{Kind: role.Kind, Namespace: namespace, Name: role.Name}] {
					v.Findings = append(v.Findings, practice.On(ref, "roleRef.name", "its %s %q does not exist", role.Kind, role.Name))
				}
				for i, subject := range subjects {
					account, ok := accountOf(subject, meta.Namespace)
					if ok && subject.Kind == rbacv1.ServiceAccountKind && s.ServiceAccount(account.Namespace, account.Name) == nil {
						v.Findings = append(v.Findings, practice.On(ref, fmt.Sprintf("subjects[%d]", i),
							"its service account %s/%s does not exist: whoever makes one of that name gets %s %s", account.Namespace, account.Name, role.Kind, role.Name))
					}
				}
			}
			for _, b := range s.ClusterBindings {
				judge(&b.ObjectMeta, "ClusterRoleBinding", b.RoleRef, b.Subjects)
			}
			for _, b := range s.RoleBindings {
				judge(&b.ObjectMeta, "RoleBinding", b.RoleRef, b.Subjects)
			}
			return v
		},
	}
}

func existingRoles(s *cluster.Snapshot) map[cluster.Ref]bool {
	exists := make(map[cluster.Ref]bool, len(s.ClusterRoles)+len(s.Roles))
	for _, role := range s.ClusterRoles {
		exists[cluster.Ref{Kind: "ClusterRole", Name: role.Name}] = true
	}
	for _, role := range s.Roles {
		exists[cluster.Ref{Kind: "Role", Namespace: role.Namespace, Name: role.Name}] = true
	}
	return exists
}
