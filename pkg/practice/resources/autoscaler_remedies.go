package resources

import (
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
)

const (
	// targetUtilisation is the percentage of the request that a new autoscaler
	// aims at, the field guide's own.
	targetUtilisation = 70
	// growth is how many times its present count a new autoscaler may go to.
	growth = 3
	// resetToOne warns of what the migration guide warns of.
	resetToOne = "kubectl apply of a manifest that no longer names a count sets it to 1 once, until the autoscaler answers: " +
		"first drop it from the live object's last-applied configuration (kubectl apply edit-last-applied)"
)

// createAutoscaler scales a Deployment by its CPU.
func createAutoscaler(s *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	for c := range w.Containers() {
		if _, requested := s.Resources(c).Requests[corev1.ResourceCPU]; !requested && !c.Init && !podRequests(w, corev1.ResourceCPU) {
			return practice.Refuse("container %q requests no CPU, of which an autoscaler takes its percentage: set that first (cpu-request-unset)", c.Name)
		}
	}
	ref := cluster.Ref{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler", Namespace: w.Self.Namespace, Name: w.Self.Name}
	switch taken := slices.IndexFunc(s.Autoscalers, func(hpa *autoscalingv2.HorizontalPodAutoscaler) bool { return autoscalerRef(hpa) == ref }); {
	case taken >= 0:
		target := s.Autoscalers[taken].Spec.ScaleTargetRef
		return practice.Refuse("HorizontalPodAutoscaler %s is there already and scales %s %s: mend that first", ref.Name, target.Kind, target.Name)
	case s.Origin.Live && s.Coverage(cluster.PodMetrics).State == cluster.Absent && len(s.PodUsages) == 0 && s.Origin.Server != "":
		return practice.Refuse("%s, and an autoscaler without it does nothing", whyNoMetrics(s))
	case s.Origin.Live && w.ReplicasBy != "":
		return practice.Refuse("%s sets spec.replicas, and would undo the autoscaler's choice with each deployment: write both into the manifest (harden -f, or --out)", w.ReplicasBy)
	}
	least, most := *w.Replicas, growth**w.Replicas
	changes := []change.Change{{Object: ref, Create: map[string]any{"spec": map[string]any{
		"scaleTargetRef": map[string]any{"apiVersion": "apps/v1", "kind": w.Self.Kind, "name": w.Self.Name},
		"minReplicas":    int64(least),
		"maxReplicas":    int64(most),
		"metrics": []any{map[string]any{"type": "Resource", "resource": map[string]any{
			"name": "cpu", "target": map[string]any{"type": "Utilization", "averageUtilization": int64(targetUtilisation)},
		}}},
	}}}}
	if w.ReplicasBy != "" {
		changes = append(changes, mend.Edit(w, change.Remove("spec", "replicas")))
	}
	proposal := practice.Propose(changes...).Because("from the present %d pods to %d, at %d %% of the CPU that they request", least, most, targetUtilisation)
	if w.ReplicasBy != "" {
		return proposal.Risking(resetToOne)
	}
	return proposal.Risking("at the peak it takes the room of %d pods: quotas and nodes must have it", most)
}

// dropReplicas leaves the count to what scales the workload.
func dropReplicas(_ *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	return practice.Propose(mend.Edit(w, change.Remove("spec", "replicas"))).Because("%s chooses the count", w.Scaler).Risking(resetToOne)
}

// raiseMinimum leaves an autoscaler's target two pods in quiet hours, with what
// two pods need to be worth more than one.
func raiseMinimum(s *cluster.Snapshot, f practice.Finding) practice.Proposal {
	var hpa *autoscalingv2.HorizontalPodAutoscaler
	var w *cluster.Workload
	for candidate, target := range scaledBy(s) {
		if autoscalerRef(candidate) == f.Object {
			hpa, w = candidate, target
		}
	}
	if hpa == nil {
		return practice.Refuse("the object is not among what was read")
	}
	if why := mend.Untouchable(s, w); why != "" {
		return practice.Refuse("%s: %s", w.Self, why)
	}
	if hpa.Spec.MaxReplicas < 2 {
		return practice.Refuse("its maxReplicas is %d: raise that first", hpa.Spec.MaxReplicas)
	}
	edits, budget, why := mend.Standing(s, w)
	if why != "" {
		return practice.Refuse("%s", why)
	}
	changes := []change.Change{{Object: f.Object, Edits: []change.Edit{change.Set(int64(2), "spec", "minReplicas")}}}
	if len(edits) > 0 {
		changes = append(changes, mend.Edit(w, edits...))
	}
	return practice.Propose(append(changes, budget...)...).
		Because("in quiet hours it leaves %s one pod; of 2 one is left when a node or a drain takes the other", w.Self)
}

// requestForAutoscaler sets what an autoscaler divides by.
func requestForAutoscaler(s *cluster.Snapshot, f practice.Finding) practice.Proposal {
	var edits []change.Edit
	var target *cluster.Workload
	said := ""
	for hpa, w := range scaledBy(s) {
		if scalerRef(hpa) != f.Object {
			continue
		}
		if why := mend.Untouchable(s, w); why != "" {
			return practice.Refuse("%s: %s", w.Self, why)
		}
		if w.VerticalScaler != "" {
			return practice.Refuse("%s sizes the pods of %s", w.VerticalScaler, w.Self)
		}
		target = w
		for _, u := range utilisations(hpa) {
			for c := range w.Containers() {
				if _, requested := s.Resources(c).Requests[u.resource]; requested || c.Init || (u.container != "" && u.container != c.Name) {
					continue
				}
				edit, why, refused := requestFor(s, c, u.resource)
				if refused != "" {
					return practice.Refuse("container %q of %s: %s", c.Name, w.Self, refused)
				}
				edits, said = append(edits, edit), why
			}
		}
	}
	if len(edits) == 0 {
		return practice.Refuse("the object is not among what was read")
	}
	return practice.Propose(mend.Edit(target, edits...)).Because("%s", said)
}
