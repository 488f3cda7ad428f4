package mend

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// Spreads reports whether a Workload's template has a rule of any kind that
// keeps its pods apart.
func Spreads(w *cluster.Workload) bool {
	spec := w.Template.Spec
	if len(spec.TopologySpreadConstraints) > 0 {
		return true
	}
	if spec.Affinity == nil || spec.Affinity.PodAntiAffinity == nil {
		return false
	}
	apart := spec.Affinity.PodAntiAffinity
	return len(apart.RequiredDuringSchedulingIgnoredDuringExecution)+len(apart.PreferredDuringSchedulingIgnoredDuringExecution) > 0
}

// Spread is a soft topology spread constraint over each of the labels: a hard
// one (DoNotSchedule) leaves pods pending where a zone is full or gone, which is
// when replicas are needed most.
func Spread(w *cluster.Workload, over []string) []any {
	var constraints []any
	for _, key := range over {
		constraint := map[string]any{
			"maxSkew": int64(1), "topologyKey": key, "whenUnsatisfiable": string(corev1.ScheduleAnyway), "labelSelector": Selector(w),
		}
		if w.Self.Kind == "Deployment" {
			// Else the pods of the revision that leaves count too, and the new
			// ones stand crooked once those are gone (KEP-3243).
			constraint["matchLabelKeys"] = []any{"pod-template-hash"}
		}
		constraints = append(constraints, constraint)
	}
	return constraints
}

// Topologies are the labels to spread over: zone and node, or those of them
// that some node is known to carry.
func Topologies(s *cluster.Snapshot) []string {
	keys := []string{corev1.LabelTopologyZone, corev1.LabelHostname}
	if !s.WasRead(cluster.Nodes) || len(s.Nodes) == 0 {
		return keys
	}
	return slices.DeleteFunc(keys, func(key string) bool {
		return !slices.ContainsFunc(s.Nodes, func(node *corev1.Node) bool { return node.Labels[key] != "" })
	})
}

// Budget is a new PodDisruptionBudget that lets drains take one pod at a time,
// and pods that are not ready at any time; it never blocks a drain by itself,
// since one pod may always go. why says why there can be none.
func Budget(s *cluster.Snapshot, w *cluster.Workload) (budget change.Change, why string) {
	selected := s.Selected(w.Self.Namespace, w.Selector)
	switch {
	case w.Selector == nil:
		return budget, "it has no selector of its own for a budget to use"
	case len(selected) > 1:
		return budget, "its selector matches the pods of " + Names(selected) + " alike, and one budget would count them together"
	case slices.ContainsFunc(s.Budgets, func(b *policyv1.PodDisruptionBudget) bool {
		return b.Namespace == w.Self.Namespace && b.Name == w.Self.Name
	}):
		return budget, "a PodDisruptionBudget named " + w.Self.Name + " is there already and selects other pods: correct its selector"
	}
	return change.Change{
		Object: cluster.Ref{APIVersion: "policy/v1", Kind: "PodDisruptionBudget", Namespace: w.Self.Namespace, Name: w.Self.Name},
		Create: map[string]any{"spec": map[string]any{
			"maxUnavailable": int64(1), "unhealthyPodEvictionPolicy": string(policyv1.AlwaysAllow), "selector": Selector(w),
		}},
	}, ""
}

// Standing are the changes that a second pod takes along: a rule that keeps the
// two apart, and a budget, where they are not there yet. why says why a second
// pod would do harm.
func Standing(s *cluster.Snapshot, w *cluster.Workload) (edits []change.Edit, budget []change.Change, why string) {
	if why := runsAlone(w); why != "" {
		return nil, nil, why
	}
	if topologies := Topologies(s); !Spreads(w) && len(topologies) > 0 && Selector(w) != nil {
		edits = append(edits, change.Set(Spread(w, topologies), InTemplate(w, "topologySpreadConstraints")...))
	}
	if len(w.Budgets) == 0 {
		made, why := Budget(s, w)
		if why != "" {
			return nil, nil, why
		}
		budget = append(budget, made)
	}
	return edits, budget, ""
}

// runsAlone says what in a Workload speaks against a second pod; "" when
// nothing that can be seen does.
func runsAlone(w *cluster.Workload) string {
	if w.Self.Kind != "Deployment" {
		return "a " + w.Self.Kind + " keeps state: a second replica takes the application's own replication"
	}
	for _, volume := range w.Template.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			return "its pods share the volume " + volume.PersistentVolumeClaim.ClaimName + ": whether two may write to it is the application's to say"
		}
	}
	if w.Strategy != nil && w.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return "its strategy is Recreate: whoever wrote that wants no two pods at once"
	}
	for c := range w.Containers() {
		for _, port := range c.Ports {
			if port.HostPort != 0 {
				return "it holds a port of its node, which two pods on a node cannot share"
			}
		}
		if arguments := strings.Join(slices.Concat(c.Command, c.Args), " "); strings.Contains(arguments, "leader-elect=false") {
			return "its arguments turn leader election off: two pods would do the same work twice"
		}
	}
	return ""
}
