package cluster

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Rules are the RBAC rules that reading the kinds takes, and no more: one rule
// an API group, sorted. RBAC knows no field selectors, so that [TLSSecrets]
// takes the right to list all Secrets.
func Rules(kinds []Kind) []rbacv1.PolicyRule {
	resources := map[string][]string{}
	for _, reading := range readings() {
		if slices.Contains(kinds, reading.kind) {
			resources[reading.gvr.Group] = append(resources[reading.gvr.Group], reading.gvr.Resource)
		}
	}
	var rules []rbacv1.PolicyRule
	for group, names := range resources {
		slices.Sort(names)
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: slices.Compact(names), Verbs: []string{"list"}})
	}
	slices.SortFunc(rules, func(a, b rbacv1.PolicyRule) int { return strings.Compare(a.APIGroups[0], b.APIGroups[0]) })
	return rules
}
