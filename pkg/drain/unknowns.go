package drain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// unknowns are what the answer cannot know, and what was not read; also are kinds
// that it rests on where a pod goes at all.
func (w *world) unknowns(victims []*victim, also ...cluster.Kind) []report.DrainUnknown {
	told := w.unread(victims, also)
	schedulers := map[string]int{}
	finalizers := map[string]int{}
	ordered := 0
	for _, v := range victims {
		if v.report.Unknown != "" {
			schedulers[v.report.Unknown]++
		}
		if v.report.DependsOnOrder {
			ordered++
		}
		if v.report.Outcome == report.DrainEvicted {
			for _, f := range v.pod.Finalizers {
				if f != "batch.kubernetes.io/job-tracking" {
					finalizers[f]++
				}
			}
		}
	}
	told = append(told, w.foreign(victims)...)
	told = append(told, w.lagging(victims)...)
	for _, reason := range sortedKeys(schedulers) {
		told = append(told, report.DrainUnknown{Subject: "placement of " + count(schedulers[reason], "pod"), Reason: reason})
	}
	for _, f := range sortedKeys(finalizers) {
		told = append(told, report.DrainUnknown{Subject: "end of " + count(finalizers[f], "pod"), Reason: fmt.Sprintf("finalizer %s: they are gone when its controller lets them go", f)})
	}
	if ordered > 0 {
		told = append(told, report.DrainUnknown{Subject: "placement of " + count(ordered, "pod"), Reason: "capacity is so tight that it depends on which pod the scheduler takes up first"})
	}
	return append(told, w.outside()...)
}

// lagging are budgets whose status counts other pods than there are: the
// disruption controller is behind, and the eviction API goes by the status.
func (w *world) lagging(victims []*victim) []report.DrainUnknown {
	var told []report.DrainUnknown
	seen := map[*budget]bool{}
	for _, v := range victims {
		if v.filtered.skip || ignoresBudgets(v.pod) {
			continue
		}
		for _, b := range w.budgets.of(v.pod) {
			if seen[b] || b.syncFailed() || b.Status.ObservedGeneration < b.Generation || len(b.Status.DisruptedPods) > 0 {
				continue
			}
			seen[b] = true
			if ready := b.ready(w.s); ready != int(b.Status.CurrentHealthy) {
				told = append(told, report.DrainUnknown{
					Subject: "poddisruptionbudget/" + b.Name,
					Reason:  fmt.Sprintf("its status counts %d healthy, and %d that it selects are ready: the disruption controller is behind, and what it allows will change", b.Status.CurrentHealthy, ready),
				})
			}
		}
	}
	return told
}

// ready counts the pods that the disruption controller would call healthy.
func (b *budget) ready(s *cluster.Snapshot) int {
	n := 0
	for _, pod := range s.Pods {
		if pod.Namespace == b.Namespace && pod.IsReady() && pod.DeletionTimestamp.IsZero() && b.selector.Matches(labels.Set(pod.Labels)) {
			n++
		}
	}
	return n
}

// foreign are replacements that a controller of somebody else's makes, or does
// not: what owns the pod is no kind of Kubernetes' own.
func (w *world) foreign(victims []*victim) []report.DrainUnknown {
	pods := map[string]int{}
	for _, v := range victims {
		controller := metav1.GetControllerOfNoCopy(v.pod)
		if v.filtered.skip || controller == nil {
			continue
		}
		switch group, _, _ := strings.Cut(controller.APIVersion, "/"); group {
		case "v1", "apps", "batch":
		default:
			pods[fmt.Sprintf("the controller of %s %s decides whether, when and how it makes another (%s)", controller.Kind, controller.Name, controller.APIVersion)]++
		}
	}
	var told []report.DrainUnknown
	for _, reason := range sortedKeys(pods) {
		told = append(told, report.DrainUnknown{Subject: "replacement of " + count(pods[reason], "pod"), Reason: reason})
	}
	return told
}

// unread are the kinds that could not be read, and whether they matter for these
// pods.
func (w *world) unread(victims []*victim, also []cluster.Kind) []report.DrainUnknown {
	var told []report.DrainUnknown
	uses := w.uses(victims, also)
	// Every server has these: one that says it has not is not believed.
	everywhere := []cluster.Kind{cluster.Budgets, cluster.Pods, cluster.Nodes, cluster.Services}
	for _, c := range w.s.Coverages() {
		if c.State == cluster.Read || c.State == cluster.Absent && !slices.Contains(everywhere, c.Kind) {
			continue
		}
		matters := uses[c.Kind]
		if c.Kind == cluster.Budgets || c.Kind == cluster.Pods || c.Kind == cluster.Nodes {
			matters = true
		}
		told = append(told, report.DrainUnknown{Subject: string(c.Kind), Reason: string(c.State) + ": " + c.Reason, Allow: c.Allow, Decides: matters})
	}
	slices.SortStableFunc(told, func(a, b report.DrainUnknown) int {
		return cmp.Compare(boolRank(b.Decides), boolRank(a.Decides))
	})
	return told
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// uses are the kinds on which the placement of these pods rests; also are used
// as soon as one of them goes.
func (w *world) uses(victims []*victim, also []cluster.Kind) map[cluster.Kind]bool {
	uses := map[cluster.Kind]bool{}
	for _, v := range victims {
		if v.filtered.skip {
			continue
		}
		for _, kind := range also {
			uses[kind] = true
		}
		if controller := metav1ControllerKind(v.pod); controller == "DaemonSet" {
			uses[cluster.DaemonSets] = true
		}
		for _, kind := range placedBy(v.pod) {
			uses[kind] = true
		}
	}
	return uses
}

// placedBy are the kinds, beside nodes and pods, without which nobody can tell
// where a pod fits.
func placedBy(pod *corev1.Pod) []cluster.Kind {
	var kinds []cluster.Kind
	if slices.ContainsFunc(pod.Spec.Volumes, func(volume corev1.Volume) bool { return cluster.ClaimOf(pod.Name, &volume) != "" }) {
		kinds = append(kinds, cluster.Claims, cluster.Volumes, cluster.StorageClasses, cluster.CSINodes)
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		kinds = append(kinds, cluster.ResourceClaims, cluster.ResourceSlices, cluster.DeviceClasses, cluster.ResourceClaimTemplates)
	}
	return kinds
}

// unseen says which kind that the pod's placement rests on was not read; "" when
// all were, or the server has no such kind.
func (w *world) unseen(pod *corev1.Pod) string {
	for _, kind := range placedBy(pod) {
		if state := w.s.Coverage(kind).State; state != cluster.Read && state != cluster.Absent {
			return fmt.Sprintf("%s could not be read, and it has some", kind)
		}
	}
	return ""
}

// outside names what acts on a drain from outside of what was read.
func (w *world) outside() []report.DrainUnknown {
	return slices.Concat(w.autoscalers(), w.admission())
}

// autoscalers may add nodes. They run where nobody sees them, too: of Karpenter
// the labels of its nodes tell.
func (w *world) autoscalers() []report.DrainUnknown {
	var told []report.DrainUnknown
	for _, workload := range w.s.Workloads() {
		for c := range workload.Containers() {
			if strings.Contains(c.Image, "cluster-autoscaler") || strings.Contains(c.Image, "karpenter") {
				told = append(told, report.DrainUnknown{
					Subject: "new nodes", Reason: fmt.Sprintf("%s in %s may add nodes for pods that fit none", workload.Owner, workload.Owner.Namespace),
				})
			}
		}
	}
	if pools := w.pools(); len(told) == 0 && len(pools) > 0 {
		told = append(told, report.DrainUnknown{Subject: "new nodes", Reason: "Karpenter made nodes of this cluster (pool " + strings.Join(pools, ", ") + ") and may add others for pods that fit none"})
	}
	return told
}

// pools are Karpenter's node pools that have nodes.
func (w *world) pools() []string {
	names := map[string]bool{}
	for _, node := range w.s.Nodes {
		if pool := node.Labels["karpenter.sh/nodepool"]; pool != "" {
			names[pool] = true
		}
	}
	return sortedKeys(names)
}

// admission may refuse evictions, and change replacements.
func (w *world) admission() []report.DrainUnknown {
	var told []report.DrainUnknown
	for _, hook := range w.s.ValidatingWebhooks {
		for i := range hook.Webhooks {
			if guardsEvictions(hook.Webhooks[i].Rules) {
				told = append(told, report.DrainUnknown{
					Subject: "evictions", Reason: fmt.Sprintf("webhook %s of ValidatingWebhookConfiguration %s is asked about each and may refuse", hook.Webhooks[i].Name, hook.Name),
				})
			}
		}
	}
	var mutating []string
	for _, hook := range w.s.MutatingWebhooks {
		if slices.ContainsFunc(hook.Webhooks, func(h admissionregistrationv1.MutatingWebhook) bool { return changesPods(h.Rules) }) {
			mutating = append(mutating, hook.Name)
		}
	}
	if len(mutating) > 0 {
		told = append(told, report.DrainUnknown{
			Subject: "replacements", Reason: "taken to be as their predecessors were admitted; MutatingWebhookConfiguration " + strings.Join(mutating, ", ") + " is asked anew and may change them",
		})
	}
	return told
}

// changesPods reports whether a webhook is asked about new pods.
func changesPods(rules []admissionregistrationv1.RuleWithOperations) bool {
	return slices.ContainsFunc(rules, func(rule admissionregistrationv1.RuleWithOperations) bool {
		creates := slices.Contains(rule.Operations, admissionregistrationv1.Create) || slices.Contains(rule.Operations, admissionregistrationv1.OperationAll)
		return creates && (slices.Contains(rule.Resources, "pods") || slices.Contains(rule.Resources, "*") || slices.Contains(rule.Resources, "*/*"))
	})
}

// guardsEvictions reports whether a webhook is asked about evictions.
func guardsEvictions(rules []admissionregistrationv1.RuleWithOperations) bool {
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			if resource == "pods/eviction" || resource == "pods/*" || resource == "*/*" {
				return true
			}
		}
	}
	return false
}
