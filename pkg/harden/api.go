package harden

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
)

// API is what harden asks of an API server. Its errors are the server's own,
// as k8s.io/apimachinery/pkg/api/errors tells them apart.
type API interface {
	// Identity names the cluster.
	Identity(ctx context.Context) (journal.Cluster, error)
	Get(ctx context.Context, ref cluster.Ref) (*unstructured.Unstructured, error)
	// List lists the objects of ref's kind in its namespace.
	List(ctx context.Context, ref cluster.Ref, options metav1.ListOptions) ([]unstructured.Unstructured, error)
	// Create and Patch write, or try to with dryRun; fields that the kind does
	// not have are an error. What the server warns of beside its answer goes to
	// the context's [heeding].
	Create(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error)
	Patch(ctx context.Context, ref cluster.Ref, patch []byte, dryRun bool) (*unstructured.Unstructured, error)
	// TryApply is a server-side apply that writes nothing and forces nothing.
	TryApply(ctx context.Context, obj *unstructured.Unstructured) error
	// Delete deletes an object as long as it is the one, unchanged.
	Delete(ctx context.Context, ref cluster.Ref, uid types.UID, resourceVersion string) error
	// May reports whether the user may do it.
	May(ctx context.Context, verb string, ref cluster.Ref) (bool, error)
}

// live is the API of a cluster.
type live struct {
	config  *rest.Config
	context string
	client  dynamic.Interface
	mapper  meta.RESTMapper
}

// Connect is the API of the cluster that a client configuration leads to;
// contextName is told in the journal.
func Connect(config *rest.Config, contextName string, mapper meta.RESTMapper) (API, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // API Priority and Fairness shares the server out
	config.WarningHandlerWithContext = warnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &live{config, contextName, client, mapper}, nil
}

// Identity takes the UID of kube-system for the cluster's: it is made with the
// cluster and outlives its addresses, certificates and names.
func (l *live) Identity(ctx context.Context) (journal.Cluster, error) {
	system, err := l.Get(ctx, cluster.Ref{APIVersion: "v1", Kind: "Namespace", Name: metav1.NamespaceSystem})
	if err != nil {
		return journal.Cluster{}, fmt.Errorf("the cluster cannot be told from others by its namespace kube-system, and so nothing could be undone: %w", err)
	}
	authority := l.config.CAData
	if len(authority) == 0 && l.config.CAFile != "" {
		if authority, err = os.ReadFile(l.config.CAFile); err != nil {
			return journal.Cluster{}, err
		}
	}
	id := journal.Cluster{UID: string(system.GetUID()), Context: l.context, Server: l.config.Host}
	if len(authority) > 0 {
		sum := sha256.Sum256(authority)
		id.Authority = hex.EncodeToString(sum[:])
	}
	return id, nil
}

func (l *live) resource(ref cluster.Ref) (dynamic.ResourceInterface, error) {
	mapping, err := l.mapping(ref)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return l.client.Resource(mapping.Resource), nil
	}
	return l.client.Resource(mapping.Resource).Namespace(ref.Namespace), nil
}

func (l *live) mapping(ref cluster.Ref) (*meta.RESTMapping, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return nil, err
	}
	return l.mapper.RESTMapping(gv.WithKind(ref.Kind).GroupKind(), gv.Version)
}

func (l *live) Get(ctx context.Context, ref cluster.Ref) (*unstructured.Unstructured, error) {
	resource, err := l.resource(ref)
	if err != nil {
		return nil, err
	}
	return resource.Get(ctx, ref.Name, metav1.GetOptions{})
}

func (l *live) List(ctx context.Context, ref cluster.Ref, options metav1.ListOptions) ([]unstructured.Unstructured, error) {
	resource, err := l.resource(ref)
	if err != nil {
		return nil, err
	}
	list, err := resource.List(ctx, options)
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

func dry(dryRun bool) []string {
	if dryRun {
		return []string{metav1.DryRunAll}
	}
	return nil
}

func (l *live) Create(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	resource, err := l.resource(cluster.RefTo(obj))
	if err != nil {
		return nil, err
	}
	return resource.Create(ctx, obj, metav1.CreateOptions{
		FieldManager: change.FieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dry(dryRun),
	})
}

func (l *live) Patch(ctx context.Context, ref cluster.Ref, patch []byte, dryRun bool) (*unstructured.Unstructured, error) {
	resource, err := l.resource(ref)
	if err != nil {
		return nil, err
	}
	return resource.Patch(ctx, ref.Name, types.JSONPatchType, patch, metav1.PatchOptions{
		FieldManager: change.FieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dry(dryRun),
	})
}

func (l *live) TryApply(ctx context.Context, obj *unstructured.Unstructured) error {
	resource, err := l.resource(cluster.RefTo(obj))
	if err != nil {
		return err
	}
	data, err := runtime.Encode(unstructured.UnstructuredJSONScheme, obj)
	if err != nil {
		return err
	}
	force := false
	_, err = resource.Patch(ctx, obj.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{
		FieldManager: change.FieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict, DryRun: dry(true),
	})
	return err
}

func (l *live) Delete(ctx context.Context, ref cluster.Ref, uid types.UID, resourceVersion string) error {
	resource, err := l.resource(ref)
	if err != nil {
		return err
	}
	return resource.Delete(ctx, ref.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &resourceVersion},
	})
}

func (l *live) May(ctx context.Context, verb string, ref cluster.Ref) (bool, error) {
	mapping, err := l.mapping(ref)
	if err != nil {
		return false, err
	}
	review := &authorizationv1.SelfSubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"},
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Group: mapping.Resource.Group, Version: mapping.Resource.Version, Resource: mapping.Resource.Resource,
			Namespace: ref.Namespace, Name: ref.Name,
		}},
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(review)
	if err != nil {
		return false, err
	}
	reviews := schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"}
	answer, err := l.client.Resource(reviews).Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	allowed, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	return allowed, err
}

// isGone reports whether an object, or its kind, is not there.
func isGone(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }
