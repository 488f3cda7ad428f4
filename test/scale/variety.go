package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

const (
	// disks is the storage class of the teams' databases, and its driver's name.
	disks      = "fleet-disks"
	diskDriver = "disk.csi.example.com"
	// critical is the priority of what runs on every node.
	critical = "fleet-critical"
	// monitors are custom resources, of the group that most clusters have.
	monitors = "/apis/monitoring.coreos.com/v1"
)

// clusterWide is what is there once, before any team.
func clusterWide() []create {
	return []create{
		postJSON("/apis/scheduling.k8s.io/v1/priorityclasses", &schedulingv1.PriorityClass{
			ObjectMeta: metav1.ObjectMeta{Name: critical}, Value: 1_000_000, Description: "What runs on every node",
		}),
		postJSON("/apis/storage.k8s.io/v1/csidrivers", &storagev1.CSIDriver{
			ObjectMeta: metav1.ObjectMeta{Name: diskDriver}, Spec: storagev1.CSIDriverSpec{AttachRequired: new(false)},
		}),
		postJSON("/apis/storage.k8s.io/v1/storageclasses", &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: disks}, Provisioner: diskDriver, ReclaimPolicy: new(corev1.PersistentVolumeReclaimRetain),
		}),
		postJSON("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", &admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "fleet-policy"}, Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: "policy.fleet.example.com", FailurePolicy: new(admissionregistrationv1.Ignore), TimeoutSeconds: new(int32(3)),
				SideEffects: new(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
				ClientConfig: nobody(), Rules: reviewed(), NamespaceSelector: noNamespace(),
			}},
		}),
		// At fault: it would hold up every write for half a minute, and then refuse it.
		postJSON("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", &admissionregistrationv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "fleet-injector"}, Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name: "injector.fleet.example.com", FailurePolicy: new(admissionregistrationv1.Fail), TimeoutSeconds: new(int32(30)),
				SideEffects: new(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
				ClientConfig: nobody(), Rules: reviewed(), NamespaceSelector: noNamespace(),
			}},
		}),
		definition(),
	}
}

func nobody() admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: platform, Name: "policy"}}
}

func reviewed() []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
	}}
}

// noNamespace keeps the API server from asking a webhook that nobody serves.
func noNamespace() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"fleet.example.com/reviewed": "true"}}
}

// definition is of ServiceMonitors, and done when these can be created.
func definition() create {
	post := postJSON("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "servicemonitors.monitoring.coreos.com"},
		"spec": map[string]any{
			"group": "monitoring.coreos.com", "scope": "Namespaced",
			"names": map[string]any{"kind": "ServiceMonitor", "listKind": "ServiceMonitorList", "plural": "servicemonitors", "singular": "servicemonitor"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	})
	return func(ctx context.Context, k kubernetes.Interface) error {
		if err := post(ctx, k); err != nil {
			return err
		}
		return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			err := k.Discovery().RESTClient().Get().AbsPath(monitors + "/servicemonitors").Do(ctx).Error()
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			return err == nil, err
		})
	}
}

// monitor tells Prometheus of an app.
func (a app) monitor() create {
	return postJSON(monitors+"/namespaces/"+a.team.name+"/servicemonitors", map[string]any{
		"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
		"metadata": map[string]any{"namespace": a.team.name, "name": a.name, "labels": a.labels()},
		"spec": map[string]any{
			"selector":  map[string]any{"matchLabels": a.selector()},
			"endpoints": []any{map[string]any{"port": "metrics", "interval": "30s", "path": "/metrics"}},
		},
	})
}

// volumes are the disks of a team's database, each reserved for its claim. A
// careless team's go with their claims.
func (t team) volumes() []create {
	reclaim := corev1.PersistentVolumeReclaimRetain
	if t.careless() {
		reclaim = corev1.PersistentVolumeReclaimDelete
	}
	var all []create
	for i := range databaseReplicas {
		claim := fmt.Sprintf("data-database-%d", i)
		all = append(all, postJSON("/api/v1/persistentvolumes", &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: t.name + "-" + claim},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")},
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: disks, PersistentVolumeReclaimPolicy: reclaim,
				ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: t.name, Name: claim},
				PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: diskDriver, VolumeHandle: t.name + "-" + claim}},
			},
		}))
	}
	return all
}

// claims are what the database's pods ask for.
func claims() []corev1.PersistentVolumeClaim {
	return []corev1.PersistentVolumeClaim{{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: new(disks),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")}},
		},
	}}
}

// postJSON creates what is not worth a typed client's method.
func postJSON(path string, object any) create {
	return func(ctx context.Context, k kubernetes.Interface) error {
		body, err := json.Marshal(object)
		if err != nil {
			return fmt.Errorf("encoding an object for %s: %w", path, err)
		}
		return k.Discovery().RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
	}
}
