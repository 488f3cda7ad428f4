package security

import (
	"cmp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// grant is one subject's share of one binding.
type grant struct {
	// object is what a finding is about: the service account that gets the
	// rights or, for users and groups, which are no objects, the binding.
	object  cluster.Ref
	subject rbacv1.Subject
	role    rbacv1.RoleRef
	binding string // "ClusterRoleBinding ci"
	// namespace is where the rights hold; "" is the whole cluster.
	namespace string
	rules     []rbacv1.PolicyRule
	// usual is true for a role that comes with Kubernetes (view, edit, admin,
	// cluster-admin, system:…).
	usual bool
}

// rbacKinds are what grants are made of.
func rbacKinds() []cluster.Kind {
	return []cluster.Kind{cluster.ClusterRoles, cluster.Roles, cluster.ClusterBindings, cluster.RoleBindings}
}

// grants are what bindings give to whom. Bindings that come with Kubernetes, or
// that kubeadm makes, are left out, and so are the control plane's own users.
func grants(s *cluster.Snapshot) []grant {
	clusterRoles := make(map[string]*rbacv1.ClusterRole, len(s.ClusterRoles))
	for _, role := range s.ClusterRoles {
		clusterRoles[role.Name] = role
	}
	roles := make(map[cluster.Ref]*rbacv1.Role, len(s.Roles))
	for _, role := range s.Roles {
		roles[roleRef(role.Namespace, role.Name)] = role
	}
	var all []grant
	give := func(meta *metav1.ObjectMeta, kind string, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		if comesWithKubernetes(meta) {
			return
		}
		g := grant{role: ref, binding: kind + " " + meta.Name, namespace: meta.Namespace, usual: comesWithKubernetes(&metav1.ObjectMeta{Name: ref.Name})}
		if role := roles[roleRef(meta.Namespace, ref.Name)]; role != nil && ref.Kind == "Role" {
			g.rules = role.Rules
		}
		if role := clusterRoles[ref.Name]; role != nil && ref.Kind == "ClusterRole" {
			g.rules, g.usual = role.Rules, comesWithKubernetes(&role.ObjectMeta)
		}
		for _, subject := range subjects {
			if isControlPlane(subject) {
				continue
			}
			g.subject, g.object = subject, bindingRef(kind, meta)
			if account, ok := accountOf(subject, meta.Namespace); ok {
				g.object = account
			}
			all = append(all, g)
		}
	}
	for _, b := range s.ClusterBindings {
		give(&b.ObjectMeta, "ClusterRoleBinding", b.RoleRef, b.Subjects)
	}
	for _, b := range s.RoleBindings {
		give(&b.ObjectMeta, "RoleBinding", b.RoleRef, b.Subjects)
	}
	return all
}

// eachGrant judges every grant but those to everybody, which rbac-anonymous
// names.
func eachGrant(judge func(grant) []practice.Finding) func(*cluster.Snapshot) practice.Verdict {
	return func(s *cluster.Snapshot) practice.Verdict {
		var v practice.Verdict
		for _, g := range grants(s) {
			if everybodyIn(g.subject) != "" {
				continue
			}
			v.Judged = append(v.Judged, g.object)
			v.Findings = append(v.Findings, judge(g)...)
		}
		return v
	}
}

// comesWithKubernetes reports whether a role or binding is one that the API
// server, or kubeadm, makes and keeps.
func comesWithKubernetes(meta *metav1.ObjectMeta) bool {
	return meta.Labels["kubernetes.io/bootstrapping"] == "rbac-defaults" ||
		strings.HasPrefix(meta.Name, "system:") || strings.HasPrefix(meta.Name, "kubeadm:")
}

// isControlPlane reports whether a subject is a user or group of Kubernetes'
// own. system:masters needs no binding.
func isControlPlane(subject rbacv1.Subject) bool {
	return subject.Kind != rbacv1.ServiceAccountKind && strings.HasPrefix(subject.Name, "system:") &&
		!strings.HasPrefix(subject.Name, "system:serviceaccount") && everybodyIn(subject) == ""
}

// everybodyIn says whom a subject stands for when that is everybody of a kind.
func everybodyIn(subject rbacv1.Subject) string {
	switch {
	case subject.Kind == rbacv1.UserKind && subject.Name == "system:anonymous", subject.Kind == rbacv1.GroupKind && subject.Name == "system:unauthenticated":
		return "anybody who reaches the API server"
	case subject.Kind == rbacv1.GroupKind && subject.Name == "system:authenticated":
		return "every user and every pod with a token"
	case subject.Kind == rbacv1.GroupKind && subject.Name == "system:serviceaccounts":
		return "every pod with a token"
	}
	return ""
}

// accountOf is the service account that a subject is, also by its user name.
func accountOf(subject rbacv1.Subject, namespace string) (cluster.Ref, bool) {
	if subject.Kind == rbacv1.ServiceAccountKind {
		return accountRef(cmp.Or(subject.Namespace, namespace), subject.Name), true
	}
	full, found := strings.CutPrefix(subject.Name, "system:serviceaccount:")
	namespace, name, whole := strings.Cut(full, ":")
	if subject.Kind != rbacv1.UserKind || !found || !whole {
		return cluster.Ref{}, false
	}
	return accountRef(namespace, name), true
}

func accountRef(namespace, name string) cluster.Ref {
	return cluster.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: namespace, Name: name}
}

func roleRef(namespace, name string) cluster.Ref {
	return cluster.Ref{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role", Namespace: namespace, Name: name}
}

func bindingRef(kind string, meta *metav1.ObjectMeta) cluster.Ref {
	return cluster.RefOf(rbacv1.SchemeGroupVersion.String(), kind, meta)
}

// who names the subject of a finding that is on a binding; "" when the object
// says it.
func (g grant) who() string {
	if g.object.Kind == "ServiceAccount" {
		return ""
	}
	return g.subject.Kind + " " + g.subject.Name + " "
}

// where words the scope of a grant.
func (g grant) where() string {
	if g.namespace == "" {
		return "in the whole cluster"
	}
	return "in namespace " + g.namespace
}

// by words how the subject came by it.
func (g grant) by() string {
	return "(" + g.role.Kind + " " + g.role.Name + ", by " + g.binding + ")"
}

// isAdmin reports whether a grant is of everything.
func (g grant) isAdmin() bool {
	return (g.role.Kind == "ClusterRole" && g.role.Name == "cluster-admin") || slices.ContainsFunc(g.rules, isEverything)
}

func isEverything(rule rbacv1.PolicyRule) bool {
	return slices.Contains(rule.Verbs, "*") && slices.Contains(rule.APIGroups, "*") && slices.Contains(rule.Resources, "*")
}

// allows reports whether a rule names a resource of a group, and a verb on it
// or all verbs. Wildcards over resources are rbac-wildcard's.
func allows(rule rbacv1.PolicyRule, group, resource string, verbs ...string) bool {
	if len(rule.ResourceNames) > 0 || !slices.Contains(rule.Resources, resource) {
		return false
	}
	if !slices.Contains(rule.APIGroups, group) && !slices.Contains(rule.APIGroups, "*") {
		return false
	}
	return slices.Contains(rule.Verbs, "*") || slices.ContainsFunc(verbs, func(verb string) bool { return slices.Contains(rule.Verbs, verb) })
}
