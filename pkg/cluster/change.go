package cluster

import (
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// changeWindow is how far back changes are gathered.
const changeWindow = time.Hour

// Change is that somebody wrote an object lately. The API server's own
// bookkeeping tells it: creationTimestamp, deletionTimestamp and the times in
// managedFields, each of which is the last write of its manager.
type Change struct {
	Object Ref
	// What is "created", "deleted", "changed" or "rolled out", the last with the
	// revision. That a workload was scaled is not told: the API server keeps no
	// time for writes through the scale subresource.
	What string
	// By is the field manager: "kubectl-edit", "argocd-controller". Empty for
	// creations and deletions, which do not tell.
	By   string
	Time time.Time
}

// changes gathers the Changes of a read, before trim drops their traces.
type changes struct {
	since time.Time

	mu    sync.Mutex
	found []Change
}

// note gathers the changes of one object.
func (c *changes) note(reading reading, obj runtime.Object) {
	accessor, err := meta.Accessor(obj)
	if err != nil || slices.Contains([]Kind{Pods, EndpointSlices, Events, NodeMetrics, PodMetrics}, reading.kind) {
		return // made and remade by controllers all day
	}
	if reading.kind == ReplicaSets {
		c.rollout(accessor)
		return
	}
	if metav1.GetControllerOf(accessor) != nil {
		return
	}
	var found []Change
	ref := reading.ref(accessor)
	if object, ok := obj.(*unstructured.Unstructured); ok {
		ref = RefTo(object)
	}
	created := accessor.GetCreationTimestamp().Time
	if deleted := accessor.GetDeletionTimestamp(); deleted != nil && deleted.After(c.since) {
		found = append(found, Change{Object: ref, What: "deleted", Time: deleted.Time})
	}
	if created.After(c.since) {
		found = append(found, Change{Object: ref, What: "created", Time: created})
	}
	for _, entry := range accessor.GetManagedFields() {
		// What was written while an object was made is part of making it.
		if entry.Time != nil && entry.Time.After(c.since) && entry.Time.After(created) && !bySystem(entry) {
			found = append(found, Change{Object: ref, What: "changed", By: entry.Manager, Time: entry.Time.Time})
		}
	}
	c.add(found...)
}

func (c *changes) add(found ...Change) {
	if len(found) > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.found = append(c.found, found...)
	}
}

// revision numbers the ReplicaSets of a Deployment.
const revision = "deployment.kubernetes.io/revision"

// rollout notes a Deployment's new ReplicaSet: its pod template was changed.
func (c *changes) rollout(replicaSet metav1.Object) {
	owner := metav1.GetControllerOf(replicaSet)
	number := replicaSet.GetAnnotations()[revision]
	if created := replicaSet.GetCreationTimestamp().Time; owner != nil && number != "" && number != "1" && created.After(c.since) {
		ref := Ref{APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: replicaSet.GetNamespace(), Name: owner.Name}
		c.add(Change{Object: ref, What: "rolled out, revision " + number, Time: created})
	}
}

// bySystem reports whether an entry is Kubernetes' own routine: statuses, and
// what controllers, kubelets and the scheduler write all the time.
func bySystem(entry metav1.ManagedFieldsEntry) bool {
	routine := []string{"kube-controller-manager", "kube-scheduler", "kubelet", "kube-apiserver", "kube-proxy", "kwok"}
	return entry.Subresource != "" || slices.Contains(routine, entry.Manager)
}

// sorted are the Changes, latest first.
func (c *changes) sorted() []Change {
	slices.SortStableFunc(c.found, func(a, b Change) int {
		if order := b.Time.Compare(a.Time); order != 0 {
			return order
		}
		return strings.Compare(a.Object.String(), b.Object.String())
	})
	return c.found
}
