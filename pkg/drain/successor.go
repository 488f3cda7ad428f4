package drain

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// successor is the pod that a controller makes for an evicted one, without a
// node; nil when nothing makes one. It has the evicted pod's own spec, which
// admission has filled in already.
func (w *world) successor(v *victim) *corev1.Pod {
	controller := metav1.GetControllerOfNoCopy(v.pod)
	if controller == nil || ended(v.pod) || !v.pod.DeletionTimestamp.IsZero() && controller.Kind != "StatefulSet" {
		return nil // a terminating pod has its replacement already
	}
	w.made++
	pod := &corev1.Pod{ObjectMeta: *v.pod.ObjectMeta.DeepCopy(), Spec: v.pod.Spec}
	pod.Spec.NodeName = v.template()
	pod.UID = types.UID(fmt.Sprintf("replacement-%d", w.made))
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = nil, nil
	if controller.Kind != "StatefulSet" {
		pod.Name = fmt.Sprintf("%s-replacement-%d", v.pod.Name, w.made)
		if pod.Spec.Hostname == v.pod.Name {
			pod.Spec.Hostname = pod.Name
		}
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	if isReady(v.pod) {
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: v.pod.Status.Conditions, StartTime: v.pod.Status.StartTime}
	}
	w.claim(v.pod, pod)
	w.workloads[pod] = v.workload
	return pod
}

// template is the node that a workload's own template names, past the
// scheduler; "" as a rule.
func (v *victim) template() string {
	if v.workload == nil || v.workload.Template == nil || v.workload.Self.Kind == "Pod" {
		return ""
	}
	return v.workload.Template.Spec.NodeName
}

// claim makes what is made anew with each pod: the claims of its ephemeral
// volumes and its resource claims from templates; those of the evicted pod end.
func (w *world) claim(before, after *corev1.Pod) {
	owner := []metav1.OwnerReference{*metav1.NewControllerRef(after, corev1.SchemeGroupVersion.WithKind("Pod"))}
	for i := range after.Spec.Volumes {
		volume := &after.Spec.Volumes[i]
		if volume.Ephemeral == nil || volume.Ephemeral.VolumeClaimTemplate == nil {
			continue
		}
		if old := w.s.Claim(before.Namespace, before.Name+"-"+volume.Name); old != nil {
			w.scheduler.stores.claims.remove(old)
		}
		template := volume.Ephemeral.VolumeClaimTemplate
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
		claim.Namespace, claim.Name, claim.OwnerReferences = after.Namespace, after.Name+"-"+volume.Name, owner
		claim.UID, claim.ResourceVersion = after.UID+"-"+types.UID(volume.Name), "1"
		if claim.Spec.StorageClassName == nil {
			claim.Spec.StorageClassName = w.defaultClass()
		}
		w.scheduler.stores.claims.add(claim)
	}
	after.Status.ResourceClaimStatuses = nil
	for _, reference := range after.Spec.ResourceClaims {
		if reference.ResourceClaimTemplateName != nil {
			w.claimResource(before, after, reference, owner)
		}
	}
}

// defaultClass is the class that admission gives to claims without one.
func (w *world) defaultClass() *string {
	for _, class := range w.s.StorageClasses {
		if class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			return &class.Name
		}
	}
	return nil
}

// claimResource makes the ResourceClaim of a pod's reference to a template.
func (w *world) claimResource(before, after *corev1.Pod, reference corev1.PodResourceClaim, owner []metav1.OwnerReference) {
	for _, status := range before.Status.ResourceClaimStatuses {
		if status.Name != reference.Name || status.ResourceClaimName == nil {
			continue
		}
		if old, found, _ := w.scheduler.stores.resourceClaims.indexer.GetByKey(before.Namespace + "/" + *status.ResourceClaimName); found {
			w.scheduler.stores.resourceClaims.remove(old)
		}
	}
	for _, template := range w.s.ResourceClaimTemplates {
		if template.Namespace != after.Namespace || template.Name != *reference.ResourceClaimTemplateName {
			continue
		}
		claim := &resourcev1.ResourceClaim{ObjectMeta: *template.Spec.ObjectMeta.DeepCopy(), Spec: *template.Spec.Spec.DeepCopy()}
		claim.Namespace, claim.Name, claim.OwnerReferences = after.Namespace, after.Name+"-"+reference.Name, owner
		claim.UID, claim.ResourceVersion = after.UID+"-"+types.UID(reference.Name), "1"
		w.scheduler.stores.resourceClaims.add(claim)
		after.Status.ResourceClaimStatuses = append(after.Status.ResourceClaimStatuses,
			corev1.PodResourceClaimStatus{Name: reference.Name, ResourceClaimName: &claim.Name})
	}
}
