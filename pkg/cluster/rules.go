package cluster

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Rules are the RBAC rules that reading the kinds takes, and no more: one rule
// an API group, sorted, then those of the reads beyond LISTs. RBAC knows no field selectors, so that [TLSSecrets]
// takes the right to list all Secrets.
func Rules(kinds []Kind) []rbacv1.PolicyRule {
	kinds = withProbeNeeds(kinds)
	resources := map[string][]string{}
	for _, reading := range readings() {
		if slices.Contains(kinds, reading.kind) {
			resources[reading.gvr.Group] = append(resources[reading.gvr.Group], reading.gvr.Resource)
		}
	}
	if slices.Contains(kinds, PodTemplates) {
		templateRules(resources)
	}
	var rules []rbacv1.PolicyRule
	for group, names := range resources {
		slices.Sort(names)
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: slices.Compact(names), Verbs: []string{"list"}})
	}
	slices.SortFunc(rules, func(a, b rbacv1.PolicyRule) int { return strings.Compare(a.APIGroups[0], b.APIGroups[0]) })
	for _, p := range probes() {
		isIt := func(rule rbacv1.PolicyRule) bool { return told(rule) == told(p.allow) }
		if slices.Contains(kinds, p.kind) && !slices.ContainsFunc(rules, isIt) {
			rules = append(rules, p.allow)
		}
	}
	return rules
}

// told is a rule as it stands in a role, on one line.
func told(rule rbacv1.PolicyRule) string {
	verbs := "], verbs: [" + strings.Join(rule.Verbs, ", ") + "]"
	if len(rule.NonResourceURLs) > 0 {
		return "nonResourceURLs: [" + strings.Join(rule.NonResourceURLs, ", ") + verbs
	}
	groups := strings.Join(rule.APIGroups, ", ")
	if groups == "" {
		groups = `""`
	}
	named := ""
	if len(rule.ResourceNames) > 0 {
		named = "], resourceNames: [" + strings.Join(rule.ResourceNames, ", ")
	}
	return "apiGroups: [" + groups + "], resources: [" + strings.Join(rule.Resources, ", ") + named + verbs
}
