package security

import (
	"cmp"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// TokenAutomounted finds tokens that are carried and not used.
//
// A token is mounted unless somebody says no. A service account without any
// right cannot do anything with it, but who reads it out of a pod is then an
// authenticated user of the API server, and gets the rights that the account is
// given later.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/
func TokenAutomounted() practice.Practice {
	return practice.Practice{
		ID:       "token-automounted",
		Title:    "Token of a service account that has no rights",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "A token is mounted unless somebody says no. Who reads it out of a pod is an authenticated user of the API server, " +
			"and has the rights that the account, or all accounts, are given later.",
		Judged: "Each workload with a service account of its own that exists and to which, or to whose groups, nothing is bound: its token must not be mounted (automountServiceAccountToken: false on the pods or the account). " +
			"The default account is service-account-default's, static pods have none, and rights that come with Kubernetes for every account do not count. " +
			"A token that another program checks, such as Vault, needs no binding: ignore the finding there.",
		Fix: "set automountServiceAccountToken: false on the service account",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting",
			"https://kubernetes.io/docs/concepts/security/rbac-good-practices/#minimize-distribution-of-privileged-tokens",
		},
		Needs:  []cluster.Kind{cluster.ServiceAccounts, cluster.ClusterBindings, cluster.RoleBindings},
		Judges: cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does: "sets automountServiceAccountToken: false on the pod template, not on the account, which others may use; refused where an annotation shows that another program takes the token " +
				"(Vault's injector, a mesh), or a container mounts or names its path",
			Propose: mend.Workload(dropToken),
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			bound := boundAccounts(s)
			return practice.EachWorkload(hasIdentity, func(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				spec := w.Template.Spec
				name := cmp.Or(spec.ServiceAccountName, spec.DeprecatedServiceAccount, defaultAccount)
				account := s.ServiceAccount(w.Self.Namespace, name)
				if name == defaultAccount || account == nil || bound[accountRef(w.Self.Namespace, name)] || bound[accountRef(w.Self.Namespace, "")] || bound[accountRef("", "")] {
					return nil
				}
				mounts := account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken
				if spec.AutomountServiceAccountToken != nil {
					mounts = *spec.AutomountServiceAccountToken
				}
				if !mounts {
					return nil
				}
				return []practice.Finding{practice.On(w.Owner, w.TemplatePath+".automountServiceAccountToken",
					"its pods carry the token of service account %q, to which no role is bound", name).
					Mended("kubectl patch serviceaccount %s -n %s -p '{\"automountServiceAccountToken\":false}'", name, w.Self.Namespace)}
			})(s)
		},
	}
}

// boundAccounts are the service accounts to which something is bound; one
// without a name stands for all of its namespace, or of the cluster.
func boundAccounts(s *cluster.Snapshot) map[cluster.Ref]bool {
	bound := map[cluster.Ref]bool{}
	note := func(meta *metav1.ObjectMeta, subjects []rbacv1.Subject) {
		for _, subject := range subjects {
			if account, ok := accountOf(subject, meta.Namespace); ok {
				bound[account] = true
				continue
			}
			namespace, ofNamespace := strings.CutPrefix(subject.Name, "system:serviceaccounts:")
			switch {
			case subject.Kind != rbacv1.GroupKind || comesWithKubernetes(meta):
			case ofNamespace:
				bound[accountRef(namespace, "")] = true
			case subject.Name == "system:serviceaccounts":
				bound[accountRef("", "")] = true
			}
		}
	}
	for _, b := range s.ClusterBindings {
		note(&b.ObjectMeta, b.Subjects)
	}
	for _, b := range s.RoleBindings {
		note(&b.ObjectMeta, b.Subjects)
	}
	return bound
}
