package cluster

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhatCountsAsAChange(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	ago := func(minutes int) metav1.Time { return metav1.NewTime(now.Add(-time.Duration(minutes) * time.Minute)) }
	entry := func(manager, subresource string, minutes int) metav1.ManagedFieldsEntry {
		at := ago(minutes)
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, Time: &at}
	}
	deleted, controller := ago(1), true
	byDeployment := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", Controller: &controller}
	for name, test := range map[string]struct {
		kind Kind
		meta metav1.ObjectMeta
		want []string
	}{
		"made within the hour":     {Services, metav1.ObjectMeta{CreationTimestamp: ago(10), ManagedFields: []metav1.ManagedFieldsEntry{entry("kubectl", "", 10)}}, []string{"created by "}},
		"made before":              {Services, metav1.ObjectMeta{CreationTimestamp: ago(90), ManagedFields: []metav1.ManagedFieldsEntry{entry("kubectl", "", 90)}}, nil},
		"changed by hand":          {Services, metav1.ObjectMeta{CreationTimestamp: ago(90), ManagedFields: []metav1.ManagedFieldsEntry{entry("kubectl-edit", "", 5)}}, []string{"changed by kubectl-edit"}},
		"made and changed":         {Services, metav1.ObjectMeta{CreationTimestamp: ago(10), ManagedFields: []metav1.ManagedFieldsEntry{entry("kubectl-edit", "", 5)}}, []string{"changed by kubectl-edit", "created by "}},
		"a status":                 {Deployments, metav1.ObjectMeta{CreationTimestamp: ago(90), ManagedFields: []metav1.ManagedFieldsEntry{entry("operator", "status", 5)}}, nil},
		"a controller's routine":   {Deployments, metav1.ObjectMeta{CreationTimestamp: ago(90), ManagedFields: []metav1.ManagedFieldsEntry{entry("kube-controller-manager", "", 5)}}, nil},
		"being deleted":            {Services, metav1.ObjectMeta{CreationTimestamp: ago(90), DeletionTimestamp: &deleted}, []string{"deleted by "}},
		"made by a controller":     {Jobs, metav1.ObjectMeta{CreationTimestamp: ago(5), OwnerReferences: []metav1.OwnerReference{{Kind: "CronJob", Controller: &controller}}}, nil},
		"pods come and go":         {Pods, metav1.ObjectMeta{CreationTimestamp: ago(5)}, nil},
		"a rollout":                {ReplicaSets, metav1.ObjectMeta{CreationTimestamp: ago(5), Annotations: map[string]string{revision: "7"}, OwnerReferences: []metav1.OwnerReference{byDeployment}}, []string{"rolled out, revision 7 by "}},
		"a first ReplicaSet":       {ReplicaSets, metav1.ObjectMeta{CreationTimestamp: ago(5), Annotations: map[string]string{revision: "1"}, OwnerReferences: []metav1.OwnerReference{byDeployment}}, nil},
		"a rollout of another day": {ReplicaSets, metav1.ObjectMeta{CreationTimestamp: ago(90), Annotations: map[string]string{revision: "7"}, OwnerReferences: []metav1.OwnerReference{byDeployment}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := &changes{since: now.Add(-changeWindow)}
			index := slices.IndexFunc(readings(), func(r reading) bool { return r.kind == test.kind })
			c.note(readings()[index], &metav1.PartialObjectMetadata{ObjectMeta: test.meta})
			var got []string
			for _, change := range c.sorted() {
				got = append(got, change.What+" by "+change.By)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("told %q, want %q", got, test.want)
			}
		})
	}
}
