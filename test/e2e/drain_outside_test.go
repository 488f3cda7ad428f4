//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	// provisioned is a class whose volumes are made when a pod is scheduled, by
	// provisioner: the test itself.
	provisioned = "drain-provisioned"
	provisioner = "provisioner.drain.test"
	// frozenLabel keeps the disruption controller from writing a budget's status.
	frozenLabel = "drain.test/frozen"
)

// outside makes what all worlds share: priorities, a class of storage and who
// provisions it, a class of devices, and the policy that freezes budgets.
func outside(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	never, wait := corev1.PreemptNever, storagev1.VolumeBindingWaitForFirstConsumer
	for _, object := range append(freezing(),
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "drain-low"}, Value: -10},
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "drain-polite"}, Value: 50, PreemptionPolicy: &never},
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "drain-high"}, Value: 100},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: provisioned}, Provisioner: provisioner, VolumeBindingMode: &wait},
		&resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: deviceDriver}, Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{
			{CEL: &resourcev1.CELDeviceSelector{Expression: fmt.Sprintf("device.driver == %q", deviceDriver)}}}}},
	) {
		if err := createObject(t.Context(), client, "", object); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go provision(ctx, client)
}

// freezing is the policy under which the disruption controller cannot write the
// status of a frozen budget, as if it had stopped. The eviction API still can.
func freezing() []runtime.Object {
	name := "drain-frozen"
	return []runtime.Object{
		&admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{frozenLabel: ""}},
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{"policy"}, APIVersions: []string{"v1"}, Resources: []string{"poddisruptionbudgets/status"}},
				}}},
			},
			Validations: []admissionregistrationv1.Validation{{Expression: "!request.userInfo.username.endsWith('disruption-controller')"}},
		}},
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		}},
	}
}

// freeze stops the counting of some of the world's budgets, and does to them
// what leaves them behind for ever.
func (d *differential) freeze(ctx context.Context, w *world) error {
	budgets := d.client.PolicyV1().PodDisruptionBudgets(w.name)
	for name, what := range w.frozen {
		label := fmt.Sprintf(`{"metadata":{"labels":{%q:""}}}`, frozenLabel)
		if _, err := budgets.Patch(ctx, name, types.MergePatchType, []byte(label), metav1.PatchOptions{}); err != nil {
			return err
		}
		if what == crowded {
			if err := d.crowd(ctx, w, name); err != nil {
				return err
			}
			continue
		}
		change := `{"spec":{"minAvailable":null,"maxUnavailable":"100%"}}` // it would let all go, were it counted
		if b, err := budgets.Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		} else if b.Spec.MaxUnavailable != nil && b.Spec.MaxUnavailable.String() == "100%" {
			change = `{"spec":{"maxUnavailable":"99%"}}`
		}
		if _, err := budgets.Patch(ctx, name, types.MergePatchType, []byte(change), metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// crowd gives a budget more unconfirmed evictions than the API bears, and lets
// it allow one.
func (d *differential) crowd(ctx context.Context, w *world, name string) error {
	budgets := d.client.PolicyV1().PodDisruptionBudgets(w.name)
	for {
		b, err := budgets.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		b.Status.DisruptionsAllowed, b.Status.DisruptedPods = 1, map[string]metav1.Time{}
		b.Status.ObservedGeneration = b.Generation
		for i := range 2001 {
			b.Status.DisruptedPods[fmt.Sprintf("gone-%d", i)] = metav1.Now()
		}
		_, err = budgets.UpdateStatus(ctx, b, metav1.UpdateOptions{})
		if err == nil || !strings.Contains(err.Error(), "the object has been modified") {
			return err
		}
	}
}

// provision makes volumes for claims whose pod has been scheduled, in the zone
// of its node, as an external provisioner does.
func provision(ctx context.Context, client kubernetes.Interface) {
	made := map[types.UID]bool{}
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		claims, err := client.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
		for i := range claims.Items {
			claim := &claims.Items[i]
			node := claim.Annotations["volume.kubernetes.io/selected-node"]
			if err != nil || node == "" || made[claim.UID] || claim.Spec.VolumeName != "" || *claim.Spec.StorageClassName != provisioned {
				continue
			}
			on, err := client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
			if err != nil {
				continue
			}
			volume := newVolume("made-"+string(claim.UID), provisioned, corev1.NodeSelectorRequirement{
				Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{on.Labels[corev1.LabelTopologyZone]}})
			volume.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID}
			if _, err := client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{}); err == nil {
				made[claim.UID] = true
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// finish makes a pod of some workloads unready, and of others succeeded.
func (d *differential) finish(ctx context.Context, w *world) error {
	for _, app := range w.unready {
		if err := d.patchOne(ctx, w, app, `{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`); err != nil {
			return err
		}
	}
	for _, app := range w.finished {
		if err := d.patchOne(ctx, w, app, `{"status":{"phase":"Succeeded","conditions":[{"type":"Ready","status":"False"}]}}`); err != nil {
			return err
		}
	}
	return nil
}

func (d *differential) patchOne(ctx context.Context, w *world, app, status string) error {
	pods, err := d.client.CoreV1().Pods(w.name).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return err
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; pod.Status.Phase == corev1.PodRunning {
			_, err := d.client.CoreV1().Pods(w.name).Patch(ctx, pod.Name, types.StrategicMergePatchType, []byte(status), metav1.PatchOptions{}, "status")
			return err
		}
	}
	return nil
}

// isFrozen reports whether nobody counts a budget any more.
func isFrozen(budget *policyv1.PodDisruptionBudget) bool {
	_, frozen := budget.Labels[frozenLabel]
	return frozen
}
