//go:build e2e

package e2e

import (
	"context"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
)

// createObject creates an object of a world.
func createObject(ctx context.Context, k kubernetes.Interface, namespace string, object runtime.Object) error {
	var err error
	options := metav1.CreateOptions{}
	switch o := object.(type) {
	case *corev1.Namespace:
		_, err = k.CoreV1().Namespaces().Create(ctx, o, options)
		if err == nil { // what the service account controller makes in a moment
			_, _ = k.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, options)
		}
	case *corev1.Node:
		_, err = k.CoreV1().Nodes().Create(ctx, o, options)
	case *corev1.Pod:
		_, err = k.CoreV1().Pods(namespace).Create(ctx, o, options)
	case *corev1.PersistentVolume:
		_, err = k.CoreV1().PersistentVolumes().Create(ctx, o, options)
	case *corev1.PersistentVolumeClaim:
		_, err = k.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, o, options)
	case *appsv1.Deployment:
		_, err = k.AppsV1().Deployments(namespace).Create(ctx, o, options)
	case *appsv1.StatefulSet:
		_, err = k.AppsV1().StatefulSets(namespace).Create(ctx, o, options)
	case *appsv1.ReplicaSet:
		_, err = k.AppsV1().ReplicaSets(namespace).Create(ctx, o, options)
	case *appsv1.DaemonSet:
		_, err = k.AppsV1().DaemonSets(namespace).Create(ctx, o, options)
	case *batchv1.Job:
		_, err = k.BatchV1().Jobs(namespace).Create(ctx, o, options)
	case *policyv1.PodDisruptionBudget:
		_, err = k.PolicyV1().PodDisruptionBudgets(namespace).Create(ctx, o, options)
	case *schedulingv1.PriorityClass:
		_, err = k.SchedulingV1().PriorityClasses().Create(ctx, o, options)
	case *storagev1.StorageClass:
		_, err = k.StorageV1().StorageClasses().Create(ctx, o, options)
	case *resourcev1.DeviceClass:
		_, err = k.ResourceV1().DeviceClasses().Create(ctx, o, options)
	case *resourcev1.ResourceSlice:
		_, err = k.ResourceV1().ResourceSlices().Create(ctx, o, options)
	case *resourcev1.ResourceClaimTemplate:
		_, err = k.ResourceV1().ResourceClaimTemplates(namespace).Create(ctx, o, options)
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		_, err = k.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(ctx, o, options)
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		_, err = k.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(ctx, o, options)
	default:
		err = fmt.Errorf("cannot create a %T", object)
	}
	return err
}
