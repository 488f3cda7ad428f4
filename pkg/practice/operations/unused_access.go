package operations

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// UnusedServiceAccount finds identities that no pod has.
//
// https://kubernetes.io/docs/concepts/security/service-accounts/
func UnusedServiceAccount() practice.Practice {
	return practice.Practice{
		ID:       "unused-service-account",
		Title:    "ServiceAccount that no pod runs as",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "An identity that nothing uses keeps its rights. Whoever may create a pod in its namespace may run as it.",
		Judged: "Each ServiceAccount older than a minute, the platform's and every namespace's \"default\" excepted: no pod and no template of a workload, CronJobs and those at zero included, runs as it. " +
			"Those with bindings say so. Exempt are accounts with an owner. Use from outside the cluster, by a token, is not seen.",
		Fix:      "delete it and its bindings",
		Sources:  []string{"https://kubernetes.io/docs/concepts/security/service-accounts/", "https://kubernetes.io/docs/concepts/security/rbac-good-practices/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.ServiceAccounts, cluster.Pods, cluster.Deployments, cluster.StatefulSets, cluster.DaemonSets, cluster.Jobs, cluster.CronJobs},
		Uses:     []cluster.Kind{cluster.PodTemplates, cluster.RoleBindings, cluster.ClusterBindings},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			used := map[key]bool{}
			for _, w := range s.Workloads() {
				used[key{w.Self.Namespace, w.Template.Spec.ServiceAccountName}] = true
			}
			for namespace, spec := range s.PodSpecs() {
				used[key{namespace, spec.ServiceAccountName}] = true
			}
			bound := boundAccounts(s)
			for _, account := range s.ServiceAccounts {
				if cluster.IsPlatform(account.Namespace) || account.Name == "default" || len(account.OwnerReferences) > 0 || young(s.Time, account.CreationTimestamp) {
					continue
				}
				ref := cluster.RefOf("v1", "ServiceAccount", &account.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				at := key{account.Namespace, account.Name}
				switch {
				case used[at]:
				case bound[at] > 0:
					v.Findings = append(v.Findings, practice.On(ref, "", "no pod runs as it, and %d bindings give it rights%s", bound[at], old(s.Time, account.CreationTimestamp)))
				default:
					v.Findings = append(v.Findings, practice.On(ref, "", "no pod runs as it%s", old(s.Time, account.CreationTimestamp)).
						Mended("kubectl delete serviceaccount %s -n %s", account.Name, account.Namespace))
				}
			}
			return v
		},
	}
}

// boundAccounts counts the bindings of each service account.
func boundAccounts(s *cluster.Snapshot) map[key]int {
	bound := map[key]int{}
	count := func(subjects []rbacv1.Subject, namespace string) {
		for _, subject := range subjects {
			if subject.Kind == rbacv1.ServiceAccountKind {
				if subject.Namespace == "" {
					subject.Namespace = namespace
				}
				bound[key{subject.Namespace, subject.Name}]++
			}
		}
	}
	for _, b := range s.RoleBindings {
		count(b.Subjects, b.Namespace)
	}
	for _, b := range s.ClusterBindings {
		count(b.Subjects, "")
	}
	return bound
}

// UnusedRole finds rights that nobody has.
//
// https://kubernetes.io/docs/concepts/security/rbac-good-practices/
func UnusedRole() practice.Practice {
	return practice.Practice{
		ID:       "unused-role",
		Title:    "Role that nothing binds",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "A role that nothing binds is one that the next person binds because its name fits, without having read what it allows.",
		Judged: "Each Role and ClusterRole older than a minute: some RoleBinding or ClusterRoleBinding must refer to it. Exempt are those of Kubernetes itself and the platform, those with an owner, " +
			"those that are aggregated into others, and those for people to bind (named or labelled as …-admin, …-edit, …-view).",
		Fix:      "delete it",
		Sources:  []string{"https://kubernetes.io/docs/reference/access-authn-authz/rbac/", "https://kubernetes.io/docs/concepts/security/rbac-good-practices/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.RoleBindings, cluster.ClusterBindings},
		Judges:   []cluster.Kind{cluster.Roles, cluster.ClusterRoles},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			bound := boundRoles(s)
			judge := func(kind string, role *metav1.ObjectMeta) {
				if isForOthers(role) || young(s.Time, role.CreationTimestamp) {
					return
				}
				ref := cluster.RefOf("rbac.authorization.k8s.io/v1", kind, role)
				v.Judged = append(v.Judged, ref)
				if !bound[ref] {
					v.Findings = append(v.Findings, practice.On(ref, "", "no binding refers to it%s", old(s.Time, role.CreationTimestamp)))
				}
			}
			for _, role := range s.Roles {
				judge("Role", &role.ObjectMeta)
			}
			for _, role := range s.ClusterRoles {
				judge("ClusterRole", &role.ObjectMeta)
			}
			return v
		},
	}
}

func boundRoles(s *cluster.Snapshot) map[cluster.Ref]bool {
	bound := map[cluster.Ref]bool{}
	note := func(to rbacv1.RoleRef, namespace string) {
		if to.Kind == "ClusterRole" {
			namespace = ""
		}
		bound[cluster.Ref{APIVersion: "rbac.authorization.k8s.io/v1", Kind: to.Kind, Namespace: namespace, Name: to.Name}] = true
	}
	for _, b := range s.RoleBindings {
		note(b.RoleRef, b.Namespace)
	}
	for _, b := range s.ClusterBindings {
		note(b.RoleRef, "")
	}
	return bound
}

// isForOthers reports whether a role is there to be bound by others, or to be
// part of another.
func isForOthers(role *metav1.ObjectMeta) bool {
	if cluster.IsPlatform(role.Namespace) || len(role.OwnerReferences) > 0 || role.Labels["kubernetes.io/bootstrapping"] != "" || hasPrefixOf(role.Name, "system:", "kubeadm:", "openshift-") {
		return true
	}
	for label := range role.Labels {
		if hasPrefixOf(label, "rbac.authorization.k8s.io/aggregate-to-", "olm.") {
			return true
		}
	}
	return hasSuffixOf(role.Name, "admin", "edit", "editor", "editor-role", "admin-role", "view", "viewer", "viewer-role", "reader")
}
