package drain

import (
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// told is all that a check says, as one text.
func told(check *report.DrainCheck) string {
	var b strings.Builder
	for _, u := range check.Unknowns {
		b.WriteString(u.Subject + ": " + u.Reason + "\n")
	}
	for _, c := range check.Consequences {
		b.WriteString(string(c.Severity) + " " + c.Kind + ": " + c.Message + "\n")
	}
	return b.String()
}

func TestWhatNobodyCanKnowIsSaid(t *testing.T) {
	two := node("n1", "a", "4", "") + node("n2", "b", "4", "")
	web := pod("web-1", "n1", "1", "") + pod("web-2", "n2", "1", "")
	for name, test := range map[string]struct{ cluster, says string }{
		"another scheduler's pod": {
			two + strings.Replace(pod("web-1", "n1", "1", ""), "default-scheduler", "volcano", 1),
			`placement of 1 pod: scheduled by "volcano", whose rules are its own`,
		},
		"a pod of an operator's own kind": {
			two + strings.Replace(pod("web-1", "n1", "1", ""), "apiVersion: apps/v1, kind: ReplicaSet", "apiVersion: kafka.example/v1, kind: Broker", 1),
			"replacement of 1 pod: the controller of Broker web decides whether, when and how it makes another (kafka.example/v1)",
		},
		"nodes that Karpenter made": {
			strings.Replace(two, "kubernetes.io/hostname: n2", "kubernetes.io/hostname: n2, karpenter.sh/nodepool: general", 1) + web,
			"new nodes: Karpenter made nodes of this cluster (pool general) and may add others",
		},
		"the Cluster Autoscaler": {
			two + web + strings.Replace(pod("ca-1", "n2", "1", ""), "image: app", "image: registry.k8s.io/autoscaling/cluster-autoscaler:v1.37", 1),
			"may add nodes for pods that fit none",
		},
		"a webhook that changes pods": {
			two + web + "---\napiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: injector}\nwebhooks: [{name: i.example, clientConfig: {url: 'https://i'}, sideEffects: None, admissionReviewVersions: [v1], rules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}]\n",
			"replacements: taken to be as their predecessors were admitted; MutatingWebhookConfiguration injector is asked anew and may change them",
		},
		"a webhook that may refuse evictions": {
			two + web + "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: cleaner}\nwebhooks: [{name: d.example, clientConfig: {url: 'https://d'}, sideEffects: None, admissionReviewVersions: [v1], rules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods/eviction]}]}]\n",
			"evictions: webhook d.example of ValidatingWebhookConfiguration cleaner is asked about each and may refuse",
		},
		"a budget that the controller has not counted anew": {
			two + web + budgetOf("web", "maxUnavailable: 1", "3", "2", "1"),
			"poddisruptionbudget/web: its status counts 3 healthy, and 2 that it selects are ready: the disruption controller is behind",
		},
		"a cluster without another schedulable node": {
			node("n1", "a", "4", "") + node("n2", "b", "4", "unschedulable: true, taints: [{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]") + pod("web-1", "n1", "1", ""),
			"critical capacity: no schedulable node is left in the cluster",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := told(check(t, read(t, test.cluster), question(t, "n1"))); !strings.Contains(got, test.says) {
				t.Errorf("says\n%s\nwant %q", got, test.says)
			}
		})
	}
}
