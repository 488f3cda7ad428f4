package harden

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
)

// server is an API server in memory, with the controllers that matter: it
// keeps objects, tests patches and says what became of pods.
type server struct {
	t       *testing.T
	uid     string
	objects map[cluster.Ref]*unstructured.Unstructured
	version int
	writes  []string // what was written, dry runs aside

	// Faults. crashes says of a pod's template why its pods crash; nil of none.
	crashes   func(deployment *unstructured.Unstructured) string
	conflict  map[string]string // what TryApply conflicts with: manager by field
	forbidden map[string]bool   // "verb kind"
	warns     []string          // what it warns of at each patch that is tried
	admit     func(obj *unstructured.Unstructured, dryRun bool) error
	before    func(verb string, ref cluster.Ref, dryRun bool) error // before a request is served
	after     func(verb string, ref cluster.Ref, dryRun bool) error // after, when its answer is on the way
}

func newServer(t *testing.T, manifests ...string) *server {
	s := &server{t: t, uid: "cluster-1", objects: map[cluster.Ref]*unstructured.Unstructured{}}
	for _, manifest := range manifests {
		obj := parse(t, manifest)
		s.keep(obj)
	}
	return s
}

func (s *server) keep(obj *unstructured.Unstructured) {
	s.version++
	obj.SetResourceVersion(strconv.Itoa(s.version))
	if obj.GetUID() == "" {
		obj.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version)))
	}
	if len(obj.GetManagedFields()) == 0 {
		obj.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl-client-side-apply", Operation: "Update"}})
	}
	obj.SetGeneration(obj.GetGeneration() + 1)
	s.objects[cluster.RefTo(obj)] = obj
}

func (s *server) request(ctx context.Context, verb string, ref cluster.Ref, dryRun bool, serve func() error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.before != nil {
		if err := s.before(verb, ref, dryRun); err != nil {
			return err
		}
	}
	if err := serve(); err != nil {
		return err
	}
	if !dryRun && slices.Contains([]string{"create", "patch", "delete"}, verb) {
		s.writes = append(s.writes, verb+" "+ref.String())
	}
	if s.after != nil {
		return s.after(verb, ref, dryRun)
	}
	return nil
}

func (s *server) Identity(context.Context) (journal.Cluster, error) {
	return journal.Cluster{UID: s.uid, Context: "test", Server: "https://test"}, nil
}

func resourceOf(ref cluster.Ref) schema.GroupResource {
	gv, _ := schema.ParseGroupVersion(ref.APIVersion)
	return schema.GroupResource{Group: gv.Group, Resource: strings.ToLower(ref.Kind) + "s"}
}

func (s *server) Get(ctx context.Context, ref cluster.Ref) (obj *unstructured.Unstructured, err error) {
	err = s.request(ctx, "get", ref, false, func() error {
		held := s.objects[ref]
		if held == nil {
			return apierrors.NewNotFound(resourceOf(ref), ref.Name)
		}
		obj = held.DeepCopy()
		s.control(obj)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return obj, nil
}

// control writes the status that a controller would have written by now.
func (s *server) control(obj *unstructured.Unstructured) {
	switch obj.GetKind() {
	case "Deployment":
		replicas, set, _ := unstructured.NestedInt64(obj.Object, "spec", "replicas")
		if !set {
			replicas = 1
		}
		available := replicas
		if s.crashes != nil && s.crashes(obj) != "" {
			available = 0
		}
		obj.Object["status"] = map[string]any{
			"observedGeneration": obj.GetGeneration(), "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": available,
		}
	case "PodDisruptionBudget":
		obj.Object["status"] = map[string]any{"observedGeneration": obj.GetGeneration(), "disruptionsAllowed": int64(1), "expectedPods": int64(2)}
	}
}

func (s *server) List(ctx context.Context, ref cluster.Ref, _ metav1.ListOptions) (items []unstructured.Unstructured, err error) {
	err = s.request(ctx, "list", ref, false, func() error {
		if ref.Kind == "Pod" {
			for _, obj := range s.objects {
				if obj.GetKind() == "Deployment" {
					items = append(items, s.podsOf(obj)...)
				}
			}
		}
		return nil
	})
	return items, err
}

// podsOf are the pods of a deployment's present template.
func (s *server) podsOf(obj *unstructured.Unstructured) []unstructured.Unstructured {
	template, _, _ := unstructured.NestedMap(obj.Object, "spec", "template")
	status := map[string]any{"name": "web", "ready": true, "restartCount": int64(0)}
	ready := "True"
	if s.crashes != nil {
		if why := s.crashes(obj); why != "" {
			ready = "False"
			status["restartCount"] = int64(1)
			status["state"] = map[string]any{"waiting": map[string]any{"reason": "CrashLoopBackOff", "message": why}}
		}
	}
	return []unstructured.Unstructured{{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": obj.GetName() + "-1", "namespace": obj.GetNamespace(), "uid": fmt.Sprintf("%x", fmt.Sprint(template))},
		"status": map[string]any{
			"phase": "Running", "containerStatuses": []any{status},
			"conditions": []any{map[string]any{"type": "Ready", "status": ready}},
		},
	}}}
}

func (s *server) Create(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (made *unstructured.Unstructured, err error) {
	obj = obj.DeepCopy()
	ref := cluster.RefTo(obj)
	err = s.request(ctx, "create", ref, dryRun, func() error {
		if s.objects[ref] != nil {
			return apierrors.NewAlreadyExists(resourceOf(ref), ref.Name)
		}
		if s.admit != nil {
			if err := s.admit(obj, dryRun); err != nil {
				return err
			}
		}
		made = obj
		if !dryRun {
			obj.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "prod-harden", Operation: "Update"}})
			s.keep(obj)
			made = obj.DeepCopy()
		}
		return nil
	})
	return made, err
}

func (s *server) Patch(ctx context.Context, ref cluster.Ref, patch []byte, dryRun bool) (after *unstructured.Unstructured, err error) {
	err = s.request(ctx, "patch", ref, dryRun, func() error {
		held := s.objects[ref]
		if held == nil {
			return apierrors.NewNotFound(resourceOf(ref), ref.Name)
		}
		decoded, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			return err
		}
		data, err := held.MarshalJSON()
		if err != nil {
			return err
		}
		if data, err = decoded.Apply(data); err != nil {
			return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
		}
		changed := &unstructured.Unstructured{}
		if err := utiljson.Unmarshal(data, &changed.Object); err != nil {
			return err
		}
		if s.admit != nil {
			if err := s.admit(changed, dryRun); err != nil {
				return err
			}
		}
		for _, text := range s.warns {
			warnings{}.HandleWarningHeaderWithContext(ctx, 299, "-", text)
		}
		after = changed.DeepCopy()
		if !dryRun {
			s.keep(changed)
			after = changed.DeepCopy()
		}
		return nil
	})
	return after, err
}

func (s *server) TryApply(_ context.Context, obj *unstructured.Unstructured) error {
	if len(s.conflict) == 0 {
		return nil
	}
	err := apierrors.NewConflict(resourceOf(cluster.RefTo(obj)), obj.GetName(), errors.New("Apply failed"))
	for field, manager := range s.conflict {
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: metav1.CauseTypeFieldManagerConflict, Field: field, Message: fmt.Sprintf("conflict with %q using apps/v1", manager),
		})
	}
	return err
}

func (s *server) Delete(ctx context.Context, ref cluster.Ref, uid types.UID, resourceVersion string) error {
	return s.request(ctx, "delete", ref, false, func() error {
		held := s.objects[ref]
		switch {
		case held == nil:
			return apierrors.NewNotFound(resourceOf(ref), ref.Name)
		case held.GetUID() != uid || held.GetResourceVersion() != resourceVersion:
			return apierrors.NewConflict(resourceOf(ref), ref.Name, errors.New("precondition failed"))
		}
		delete(s.objects, ref)
		return nil
	})
}

func (s *server) May(_ context.Context, verb string, ref cluster.Ref) (bool, error) {
	return !s.forbidden[verb+" "+ref.Kind], nil
}

// specs are all objects' specs and labels, by their names: what an undo has to
// give back to the byte.
func (s *server) specs() string {
	var all []string
	for ref, obj := range s.objects {
		data, err := (&unstructured.Unstructured{Object: map[string]any{
			"kind": ref.Kind, "spec": obj.Object["spec"], "labels": obj.GetLabels(),
		}}).MarshalJSON()
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, nameOf(ref)+" "+string(data))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}
