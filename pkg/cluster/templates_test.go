package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestASchemaTellsWhetherItHasRoomForAPodTemplate(t *testing.T) {
	for name, test := range map[string]struct {
		spec string // the schema of spec
		want bool
	}{
		"a pod's spec": {`{"properties": {"template": {"properties": {"spec": {"properties": {
			"containers": {"type": "array", "items": {"properties": {"image": {"type": "string"}}}}}}}}}}`, true},
		"one in each value of a map": {`{"properties": {"roles": {"additionalProperties": {"properties": {
			"containers": {"type": "array", "items": {"properties": {"image": {"type": "string"}}}}}}}}}`, true},
		"one in each item of a list": {`{"properties": {"groups": {"items": {"properties": {
			"containers": {"type": "array", "items": {"properties": {"image": {"type": "string"}}}}}}}}}`, true},
		"a template that is not described":      {`{"properties": {"template": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}`, true},
		"a spec that is not described":          {`{"type": "object", "x-kubernetes-preserve-unknown-fields": true}`, true},
		"containers that an operator adds":      {`{"properties": {"containers": {"type": "array", "items": {"properties": {"image": {"type": "string"}}}}}}`, false},
		"containers without an image":           {`{"properties": {"containers": {"type": "array", "items": {"properties": {"size": {}}}}}}`, false},
		"a field that is not described":         {`{"properties": {"values": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}, "containers": {"type": "string"}}}`, false},
		"a map of anything beside the template": {`{"properties": {"containers": {"type": "object", "additionalProperties": true}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			var version DefinitionVersion
			text := fmt.Sprintf(`{"name": "v1", "schema": {"openAPIV3Schema": {"properties": {"spec": %s}}}}`, test.spec)
			if err := json.Unmarshal([]byte(text), &version); err != nil {
				t.Fatal(err)
			}
			if bool(version.Schema) != test.want {
				t.Errorf("got %v", version.Schema)
			}
		})
	}
}

// withCustomKinds gives a fake server a Rollout, which is known to hold a pod
// template; a Machine, whose definition has room for one; and a Note, whose
// definition has not.
func withCustomKinds(t *testing.T) *fakeServer {
	t.Helper()
	const schema = `{"openAPIV3Schema": {"properties": {"spec": {"properties": {"template": {"x-kubernetes-preserve-unknown-fields": true}}}}}}`
	const objects = `{"apiVersion": "%s", "kind": "List", "metadata": {}, "items": [
		{"apiVersion": "%[1]s", "kind": "%s", "metadata": {"name": "web", "namespace": "shop", "uid": "%[2]s"},
		"spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "app", "image": "a"}]}}}}]}`
	server := newFakeServer(t)
	answer := func(path, body string) {
		server.faults[path] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
		}
	}
	var groups []string
	for group, resources := range map[string][]string{"argoproj.io": {"rollouts"}, "example.com": {"machines", "notes"}} {
		var listed []string
		for _, resource := range resources {
			listed = append(listed, fmt.Sprintf(`{"resource": %q, "responseKind": {"group": %q, "version": "v1", "kind": "K"}, "scope": "Namespaced", "verbs": ["list"]}`, resource, group))
		}
		groups = append(groups, fmt.Sprintf(`{"metadata": {"name": %q}, "versions": [{"version": "v1", "freshness": "Current", "resources": [%s]}]}`, group, strings.Join(listed, ",")))
	}
	server.faults["/apis"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		fmt.Fprintf(w, `{"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": [%s]}`, strings.Join(groups, ","))
	}
	definition := func(name, group, schema string) string {
		return fmt.Sprintf(`{"metadata": {"name": "%s.%s"}, "spec": {"group": %[2]q, "scope": "Namespaced", "versions": [{"name": "v1", "served": true, "schema": %s}]}}`, name, group, schema)
	}
	answer("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", fmt.Sprintf(`{"metadata": {}, "items": [%s]}`, strings.Join([]string{
		definition("rollouts", "argoproj.io", schema), definition("machines", "example.com", schema), definition("notes", "example.com", `{"openAPIV3Schema": {}}`),
		definition("gone", "example.com", schema),
	}, ",")))
	answer("/apis/argoproj.io/v1/rollouts", fmt.Sprintf(objects, "argoproj.io/v1", "Rollout"))
	answer("/apis/example.com/v1/machines", fmt.Sprintf(objects, "example.com/v1", "Machine"))
	return server
}

func TestCustomResourcesWithAPodTemplateAreRead(t *testing.T) {
	server := withCustomKinds(t)
	s, err := server.live().Load(t.Context(), []Kind{Pods, PodTemplates})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := owners(s), []string{"machine.example.com/web=", "rollout.argoproj.io/web="}; !slices.Equal(got, want) {
		t.Errorf("workloads are %v, want %v", got, want)
	}
	if c := s.Coverage(PodTemplates); c.State != Read || c.Objects != 2 || c.Reason != "" {
		t.Errorf("coverage is %+v", c)
	}
	if server.asked("/apis/example.com/v1/notes") > 0 {
		t.Error("asked for a kind that has no room for a pod template")
	}
	for _, path := range []string{"/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/argoproj.io/v1/rollouts"} {
		if n := server.asked(path); n != 1 {
			t.Errorf("asked for %s %d times", path, n)
		}
	}
}

func TestAClusterWithoutCustomKindsIsAskedForNone(t *testing.T) {
	server := newFakeServer(t)
	server.faults["/apis"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		fmt.Fprint(w, `{"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": []}`)
	}
	s, err := server.live().Load(t.Context(), []Kind{Pods, PodTemplates})
	if err != nil {
		t.Fatal(err)
	}
	if !s.WasRead(PodTemplates) || server.asked("/apis/apiextensions.k8s.io/v1/customresourcedefinitions") > 0 {
		t.Errorf("coverage is %+v, and definitions were asked for", s.Coverage(PodTemplates))
	}
}

func TestPodTemplatesThatMayNotBeReadAreTold(t *testing.T) {
	forbid := func(w http.ResponseWriter, _ *http.Request) {
		status(w, http.StatusForbidden, metav1.StatusReasonForbidden, "you may not")
	}
	t.Run("of one kind", func(t *testing.T) {
		server := withCustomKinds(t)
		server.faults["/apis/example.com/v1/machines"] = forbid
		s, err := server.live().Load(t.Context(), []Kind{Pods, PodTemplates})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := owners(s), []string{"rollout.argoproj.io/web="}; !slices.Equal(got, want) {
			t.Errorf("workloads are %v, want %v", got, want)
		}
		if c := s.Coverage(PodTemplates); c.State != Forbidden || c.Reason != "machines.example.com: you may not" || c.Allow != "apiGroups: [example.com], resources: [machines], verbs: [list]" {
			t.Errorf("coverage is %+v", c)
		}
	})
	t.Run("the definitions", func(t *testing.T) {
		server := withCustomKinds(t)
		server.faults["/apis/apiextensions.k8s.io/v1/customresourcedefinitions"] = forbid
		s, err := server.live().Load(t.Context(), []Kind{Pods, PodTemplates})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := owners(s), []string{"rollout.argoproj.io/web="}; !slices.Equal(got, want) {
			t.Errorf("workloads are %v, want the known kind: %v", got, want)
		}
		if c := s.Coverage(PodTemplates); c.State != Forbidden || !strings.Contains(c.Allow, "customresourcedefinitions") {
			t.Errorf("coverage is %+v", c)
		}
	})
}
