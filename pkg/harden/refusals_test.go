package harden

import (
	"errors"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func TestRefusals(t *testing.T) {
	status := func(code int, reason string) error {
		return apierrors.NewGenericServerResponse(code, "create", schema.GroupResource{Resource: "pods"}, "", reason, 0, true)
	}
	forbidden := func(text string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New(text))
	}
	_ = status
	for name, test := range map[string]struct {
		deployment string // what to replace in the manifest, old=>new
		set        func(*server)
		want       string
		git        bool
	}{
		"paused":                         {deployment: "replicas: 2=>paused: true", want: "it is paused: a change would take effect at some later moment, when nobody watches (kubectl rollout resume)"},
		"degraded":                       {set: func(s *server) { s.crashes = func(*unstructured.Unstructured) string { return "broken" } }, want: "it is degraded (0 of 2 pods are available): mend it first"},
		"deleted meanwhile":              {set: func(s *server) { delete(s.objects, webRef()) }, want: "deployment.apps/web is no longer there"},
		"a container that is gone":       {deployment: "name: web, image=>name: www, image", want: `deployment.apps/web has no .spec.template.spec.containers[name="web"]: it has been changed since it was read; run harden again`},
		"so already":                     {deployment: "image: a, env=>image: a, resources: {limits: {memory: 64Mi}}, env", want: "it is so already"},
		"Argo CD's":                      {deployment: "labels: {app: web}}\nspec=>annotations: {argocd.argoproj.io/tracking-id: shop}}\nspec", want: "Argo CD (annotation argocd.argoproj.io/tracking-id shop) owns deployment.apps/web: change it in Git", git: true},
		"a right that is missing":        {set: func(s *server) { s.forbidden = map[string]bool{"patch Deployment": true} }, want: "you may not patch deployment.apps in shop"},
		"a field that a controller sets": {set: func(s *server) { s.conflict = map[string]string{".spec.x": "vpa-updater"} }, want: "spec.x is set by the controller vpa-updater, which would set it back", git: true},
		"a field that something sets":    {set: func(s *server) { s.conflict = map[string]string{".spec.x": "deploy-bot"} }, want: "spec.x is set by deploy-bot, of which nothing is known: it may set it back", git: true},
		"a pod that is not admitted": {set: func(s *server) {
			s.admit = func(obj *unstructured.Unstructured, _ bool) error {
				if obj.GetKind() == "Pod" {
					return forbidden(`violates PodSecurity "restricted:latest"`)
				}
				return nil
			}
		}, want: `a pod of the changed template is not admitted: pods is forbidden: violates PodSecurity "restricted:latest"`},
		"no room in the quota for a surge": {set: func(s *server) {
			s.admit = func(obj *unstructured.Unstructured, _ bool) error {
				if obj.GetKind() == "Pod" {
					return forbidden("exceeded quota: small")
				}
				return nil
			}
		}, want: "a pod of the changed template is not admitted: pods is forbidden: exceeded quota: small"},
		"an immutable field": {set: func(s *server) {
			s.admit = func(obj *unstructured.Unstructured, _ bool) error {
				if obj.GetKind() == "Deployment" {
					return forbidden("spec.selector: field is immutable")
				}
				return nil
			}
		}, want: "a field of it cannot be changed in place, the object would have to be made anew: pods is forbidden: spec.selector: field is immutable"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				manifest := webDeployment
				if old, replacement, ok := strings.Cut(test.deployment, "=>"); ok {
					if !strings.Contains(manifest, old) {
						t.Fatalf("no %q in the manifest", old)
					}
					manifest = strings.Replace(manifest, old, replacement, 1)
				}
				s := newServer(t, manifest)
				if test.set != nil {
					test.set(s)
				}
				r, _ := newRun(t, s)
				r.Yes = true
				plan := threeChanges()
				plan.Items = plan.Items[:1]
				h := apply(t, r, plan)
				if c := h.Changes[0]; c.State != report.Refused || c.StateReason != test.want {
					t.Errorf("%s: %s\nwant %s", c.State, c.StateReason, test.want)
				} else if test.git && !strings.Contains(c.Writes[0].Patch, "memory: 64Mi") {
					t.Errorf("no patch for Git: %+v", c.Writes)
				}
				if len(s.writes) > 0 {
					t.Errorf("wrote %v", s.writes)
				}
				if records, _ := r.Journal.Records(); len(records) > 0 {
					t.Errorf("the journal has %+v", records[0])
				}
			})
		})
	}
}

func TestAPersonsFieldIsToldAndWritten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		s.conflict = map[string]string{".spec.x": "kubectl-client-side-apply"}
		r, face := newRun(t, s, Yes)
		plan := threeChanges()
		plan.Items = plan.Items[:1]
		if got := states(apply(t, r, plan)); got != "applied" {
			t.Error(got)
		}
		want := "spec.x was last set by kubectl-client-side-apply: the next apply of that manifest sets it back: change it there too"
		if !slices.Contains(face.shown[0].Notes, want) {
			t.Errorf("%q", face.shown[0].Notes)
		}
	})
}
