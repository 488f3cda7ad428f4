package cluster

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// appliedReplicas is an annotation of our own that outlives [trim]: who sets
// spec.replicas again with each deployment.
const appliedReplicas = "prod.kubectl.io/replicas-applied-by"

// noteAppliedReplicas keeps the one fact of managedFields and of the
// last-applied annotation that a practice needs.
func noteAppliedReplicas(obj metav1.Object) {
	by := replicasAppliedBy(obj)
	annotations := obj.GetAnnotations()
	delete(annotations, appliedReplicas) // it is ours alone to say
	if by == "" {
		return
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[appliedReplicas] = by
	obj.SetAnnotations(annotations)
}

// replicasAppliedBy names who applies spec.replicas to a workload; "" when
// nobody does. Of managedFields only applied ones tell: an update owns the
// fields that the API server defaulted, too.
func replicasAppliedBy(obj metav1.Object) string {
	var owned struct {
		Spec struct {
			Replicas json.RawMessage `json:"f:replicas"`
		} `json:"f:spec"`
	}
	for _, entry := range obj.GetManagedFields() {
		if entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &owned); err == nil && owned.Spec.Replicas != nil {
			return "server-side apply by " + entry.Manager
		}
	}
	last := obj.GetAnnotations()[corev1.LastAppliedConfigAnnotation]
	if !strings.Contains(last, `"replicas"`) {
		return ""
	}
	var applied struct {
		Spec struct {
			Replicas *int32 `json:"replicas"`
		} `json:"spec"`
	}
	if err := json.Unmarshal([]byte(last), &applied); err == nil && applied.Spec.Replicas != nil {
		return "kubectl apply"
	}
	return ""
}

// noteCounts says of each Deployment and StatefulSet who writes its count of
// replicas.
func (s *Snapshot) noteCounts() {
	for _, d := range s.Deployments {
		s.noteCount(deploymentRef(d.Namespace, d.Name), d.Annotations, d.Spec.Replicas)
	}
	for _, set := range s.StatefulSets {
		s.noteCount(Ref{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: set.Namespace, Name: set.Name}, set.Annotations, set.Spec.Replicas)
	}
}

func (s *Snapshot) noteCount(self Ref, annotations map[string]string, written *int32) {
	w := s.byRef[self]
	switch {
	case w == nil:
	case s.Origin.Live:
		w.ReplicasBy = annotations[appliedReplicas]
	case written != nil:
		w.ReplicasBy = "the manifest"
	}
}

func deploymentRef(namespace, name string) Ref {
	return Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: name}
}
