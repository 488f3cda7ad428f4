package security

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ServiceAccountDefault finds workloads that share one identity.
//
// Every pod that names no service account runs as "default" and gets its
// token: a right granted to it for one workload is granted to all of the
// namespace, and the audit log cannot tell them apart.
// https://kubernetes.io/docs/concepts/security/rbac-good-practices/
func ServiceAccountDefault() practice.Practice {
	return practice.Practice{
		ID:       "service-account-default",
		Title:    "Workload with the token of the default service account",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "Every pod that names no service account runs as \"default\" and gets its token. A right granted to it for one workload is granted to all of the namespace, " +
			"and the audit log cannot tell them apart.",
		Judged: "Each workload's pod template. A workload into which no token is mounted, because automountServiceAccountToken is false on its pods or on the service account, is in order. " +
			"Static pods, which have no service account, are exempt.",
		Fix: "set automountServiceAccountToken: false if the workload does not call the Kubernetes API, else give it a service account of its own",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/",
			"https://kubernetes.io/docs/concepts/security/rbac-good-practices/",
		},
		Judges: cluster.WorkloadKinds(),
		Uses:   []cluster.Kind{cluster.ServiceAccounts},
		Remedy: &practice.Remedy{
			Does: "sets automountServiceAccountToken: false on the pod template; refused where a role is bound to the default account or to all accounts of the namespace, " +
				"and where something shows that the token is used",
			Uses:    []cluster.Kind{cluster.ServiceAccounts, cluster.ClusterBindings, cluster.RoleBindings},
			Propose: mend.Workload(dropToken),
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			tokenless := withoutToken(s.ServiceAccounts)
			return practice.EachWorkload(hasIdentity, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				spec := w.Template.Spec
				name := cmp.Or(spec.ServiceAccountName, spec.DeprecatedServiceAccount, defaultAccount)
				mounts := !tokenless[w.Self.Namespace]
				if spec.AutomountServiceAccountToken != nil {
					mounts = *spec.AutomountServiceAccountToken // the pod's word is the last
				}
				if name != defaultAccount || !mounts {
					return nil
				}
				return []practice.Finding{practice.On(w.Owner, w.TemplatePath+".serviceAccountName",
					"its pods carry the token of service account %q, which every workload of namespace %s shares unless it names another", name, w.Self.Namespace)}
			})(s)
		},
	}
}

const defaultAccount = "default"

// withoutToken tells of which namespaces the default service account asks for
// no token to be mounted.
func withoutToken(accounts []*corev1.ServiceAccount) map[string]bool {
	tokenless := map[string]bool{}
	for _, account := range accounts {
		if account.Name == defaultAccount && account.AutomountServiceAccountToken != nil {
			tokenless[account.Namespace] = !*account.AutomountServiceAccountToken
		}
	}
	return tokenless
}

func hasIdentity(w *cluster.Workload) bool { return !w.IsStatic() }
