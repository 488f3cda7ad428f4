package harden

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// Rules are the RBAC rules that hardening by the practices takes: to read what
// they judge, to write what remedies write, to watch what becomes of it, and to
// take it back. RBAC knows no dry run, so that trying a pod takes the right to
// create one.
func Rules(practices []practice.Practice, scope practice.Scope) []rbacv1.PolicyRule {
	rule := func(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	return append(cluster.Rules(Needs(practices, scope)),
		// What is there and is changed.
		rule("", []string{"namespaces"}, "get", "patch"), // get also tells the cluster from others, by its kube-system
		rule("apps", []string{"daemonsets", "deployments", "statefulsets"}, "get", "patch"),
		rule("batch", []string{"cronjobs"}, "get", "patch"),
		// What may also be made, and is deleted when it is taken back.
		rule("", []string{"limitranges", "resourcequotas"}, "create", "delete", "get", "patch"),
		rule("autoscaling", []string{"horizontalpodautoscalers"}, "create", "delete", "get", "patch"),
		rule("monitoring.coreos.com", []string{"prometheusrules"}, "create", "delete", "get", "patch"),
		rule("networking.k8s.io", []string{"networkpolicies"}, "create", "delete", "get", "patch"),
		rule("policy", []string{"poddisruptionbudgets"}, "create", "delete", "get", "patch"),
		// Pods are tried; one that a StatefulSet waits for in vain is deleted.
		rule("", []string{"pods"}, "create", "delete", "list"),
		// Whose the objects are, and what becomes of the pods.
		rule("argoproj.io", []string{"applications"}, "list"),
		rule("", []string{"events"}, "list"),
		rule("discovery.k8s.io", []string{"endpointslices"}, "list"),
	)
}
