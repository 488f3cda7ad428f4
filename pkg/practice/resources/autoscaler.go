package resources

import (
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// settled is how long a condition of an autoscaler must last to be told: while
// pods start, it cannot know their use yet.
const settled = 10 * time.Minute

// scalerRef is what a person would edit: the autoscaler, or what made it, as
// KEDA's ScaledObject.
func scalerRef(hpa *autoscalingv2.HorizontalPodAutoscaler) cluster.Ref {
	if owner := metav1.GetControllerOfNoCopy(hpa); owner != nil {
		return cluster.Ref{APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: hpa.Namespace, Name: owner.Name}
	}
	return autoscalerRef(hpa)
}

// lasting finds a condition that has been so for long enough to be told.
func lasting(s *cluster.Snapshot, hpa *autoscalingv2.HorizontalPodAutoscaler, kind autoscalingv2.HorizontalPodAutoscalerConditionType, is corev1.ConditionStatus) *autoscalingv2.HorizontalPodAutoscalerCondition {
	for i := range hpa.Status.Conditions {
		c := &hpa.Status.Conditions[i]
		if c.Type == kind && c.Status == is && s.Time.Sub(c.LastTransitionTime.Time) >= settled {
			return c
		}
	}
	return nil
}

// fewest is an autoscaler's minimum, which the API server defaults to 1.
func fewest(hpa *autoscalingv2.HorizontalPodAutoscaler) int32 {
	if hpa.Spec.MinReplicas == nil {
		return 1
	}
	return *hpa.Spec.MinReplicas
}

// scaledBy finds the Workload that each autoscaler scales.
func scaledBy(s *cluster.Snapshot) map[*autoscalingv2.HorizontalPodAutoscaler]*cluster.Workload {
	targets := map[*autoscalingv2.HorizontalPodAutoscaler]*cluster.Workload{}
	for _, w := range s.Workloads() {
		if w.Autoscaler != nil {
			targets[w.Autoscaler] = w
		}
	}
	return targets
}
