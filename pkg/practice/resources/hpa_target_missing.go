package resources

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// HPATargetMissing finds autoscalers that scale nothing.
//
// An autoscaler holds its target by name. When the target is renamed, moved to
// another namespace or was mistyped, the autoscaler stays, looks set up, and
// the workload keeps its count whatever the load.
// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/
func HPATargetMissing() practice.Practice {
	return practice.Practice{
		ID:       "hpa-target-missing",
		Title:    "Autoscaler whose target does not exist",
		Chapter:  practice.Resources,
		Severity: report.Critical,
		Reason: "An autoscaler holds its target by name. When the target is renamed, moved to another namespace or was mistyped, " +
			"the autoscaler stays and looks set up, but the workload keeps its count whatever the load.",
		Judged: "Each HorizontalPodAutoscaler whose scaleTargetRef names a Deployment, StatefulSet or ReplicaSet: it must exist in the autoscaler's own namespace, " +
			"and the reference must name its API group, by which the controller looks it up. Targets of other kinds are not judged.",
		Fix: "point spec.scaleTargetRef at the workload, or delete the autoscaler",
		Sources: []string{
			"https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/",
			"https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/podautoscaler/horizontal.go (reconcileAutoscaler)",
		},
		Needs: []cluster.Kind{cluster.Autoscalers},
		Uses:  []cluster.Kind{cluster.Deployments, cluster.StatefulSets, cluster.ReplicaSets},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			existing := scalable(s)
			for _, hpa := range s.Autoscalers {
				if kind, known := targetKind(hpa); !known || !s.WasRead(kind) {
					continue
				}
				v.Judged = append(v.Judged, autoscalerRef(hpa))
				v.Findings = append(v.Findings, danglingTarget(hpa, existing)...)
			}
			return v
		},
	}
}

// target names what an autoscaler may scale, whatever its version.
type target struct{ namespace, kind, name string }

// scalable is what exists of the kinds that are judged.
func scalable(s *cluster.Snapshot) map[target]bool {
	existing := make(map[target]bool, len(s.Deployments)+len(s.StatefulSets)+len(s.ReplicaSets))
	for _, d := range s.Deployments {
		existing[target{d.Namespace, "Deployment", d.Name}] = true
	}
	for _, set := range s.StatefulSets {
		existing[target{set.Namespace, "StatefulSet", set.Name}] = true
	}
	for _, rs := range s.ReplicaSets {
		existing[target{rs.Namespace, "ReplicaSet", rs.Name}] = true
	}
	return existing
}

// targetKind is the kind of an autoscaler's target, if it is judged here.
func targetKind(hpa *autoscalingv2.HorizontalPodAutoscaler) (cluster.Kind, bool) {
	switch hpa.Spec.ScaleTargetRef.Kind {
	case "Deployment":
		return cluster.Deployments, true
	case "StatefulSet":
		return cluster.StatefulSets, true
	case "ReplicaSet":
		return cluster.ReplicaSets, true
	}
	return "", false
}

func autoscalerRef(hpa *autoscalingv2.HorizontalPodAutoscaler) cluster.Ref {
	return cluster.RefOf("autoscaling/v2", "HorizontalPodAutoscaler", &hpa.ObjectMeta)
}

func danglingTarget(hpa *autoscalingv2.HorizontalPodAutoscaler, existing map[target]bool) []practice.Finding {
	ref := hpa.Spec.ScaleTargetRef
	if !existing[target{hpa.Namespace, ref.Kind, ref.Name}] {
		return []practice.Finding{practice.On(autoscalerRef(hpa), "spec.scaleTargetRef.name",
			"its target, %s %q, does not exist in namespace %s%s", ref.Kind, ref.Name, hpa.Namespace, namesake(hpa, existing))}
	}
	// The controller finds the kind by its group alone; extensions/v1beta1 and
	// an empty apiVersion outlive the API that understood them.
	if gv, err := schema.ParseGroupVersion(ref.APIVersion); err != nil || gv.Group != "apps" {
		return []practice.Finding{practice.On(autoscalerRef(hpa), "spec.scaleTargetRef.apiVersion",
			"its target's apiVersion is %q, whose API group has no %s: the controller cannot find %s %q", ref.APIVersion, ref.Kind, ref.Kind, ref.Name).
			Mended("set spec.scaleTargetRef.apiVersion to apps/v1")}
	}
	return nil
}

// namesake points at another kind of the target's name in its namespace: the
// usual slip after a Deployment became a StatefulSet.
func namesake(hpa *autoscalingv2.HorizontalPodAutoscaler, existing map[target]bool) string {
	for _, kind := range []string{"Deployment", "StatefulSet"} {
		if existing[target{hpa.Namespace, kind, hpa.Spec.ScaleTargetRef.Name}] {
			return fmt.Sprintf(" (a %s of that name does)", kind)
		}
	}
	return ""
}
