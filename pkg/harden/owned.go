package harden

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// owned refuses what something else owns. A new object belongs where the
// object belongs that the finding is about.
func (r *Run) owned(ctx context.Context, item *Item, d *draft, t *trial) error {
	about := d.before
	if d.creates() {
		if item.Object.Kind == "Cluster" && item.Object.APIVersion == "" {
			return nil
		}
		var err error
		if about, err = r.API.Get(ctx, item.Object); err != nil {
			if isGone(err) || apierrors.IsForbidden(err) {
				return refuse("%s cannot be read, so that nothing tells who owns it", item.Object)
			}
			return err
		}
	}
	d.about = about
	owner := r.ownerOf(ctx, about)
	t.owner = owner
	switch {
	case owner.Foreign():
		t.git = true
		return refuse("%s owns %s: %s", owner, cluster.RefTo(about), owner.Advice)
	case owner.Unknown && r.Yes:
		return refuse("who owns %s is %s; without --yes you are asked", cluster.RefTo(about), owner)
	case owner.Unknown:
		t.notes = append(t.notes, "who owns it is "+owner.String())
	}
	return nil
}

// ownerOf classifies an object by itself and by what its controller references
// lead to.
func (r *Run) ownerOf(ctx context.Context, obj *unstructured.Unstructured) Owner {
	var above []*unstructured.Unstructured
	for ref := metav1.GetControllerOf(obj); ref != nil && len(above) < maxOwners; {
		parent, err := r.API.Get(ctx, cluster.Ref{APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: obj.GetNamespace(), Name: ref.Name})
		if err != nil {
			break // the reference itself tells enough
		}
		above = append(above, parent)
		ref = metav1.GetControllerOf(parent)
	}
	return Classify(obj, above, r.argoApplications(ctx, obj))
}

// maxOwners bounds the walk up the owners, which a loop would make endless.
const maxOwners = 8

// argoApplications are the names of Argo CD's Applications, asked for once and
// only for objects whose label may name one. Where they cannot be read the
// label counts.
func (r *Run) argoApplications(ctx context.Context, obj *unstructured.Unstructured) []string {
	instance := obj.GetLabels()["app.kubernetes.io/instance"]
	if instance == "" {
		return nil
	}
	r.once.Do(func() {
		applications, err := r.API.List(ctx, cluster.Ref{APIVersion: "argoproj.io/v1alpha1", Kind: "Application"}, metav1.ListOptions{})
		for _, application := range applications {
			r.applications = append(r.applications, application.GetName())
		}
		r.argoHidden = err != nil && !isGone(err)
	})
	if r.argoHidden {
		return []string{instance}
	}
	return r.applications
}
