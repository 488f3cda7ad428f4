package cluster

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// everything is every kind that can be read.
func everything() []Kind {
	var kinds []Kind
	for _, r := range readings() {
		kinds = append(kinds, r.kind)
	}
	return kinds
}

func TestEachKindIsListedOnceAndPaged(t *testing.T) {
	server := newFakeServer(t)
	server.pods = 1200
	s, err := server.live().Load(t.Context(), everything())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Pods) != 1200 {
		t.Errorf("read %d pods, want 1200", len(s.Pods))
	}
	if c := s.Coverage(Pods); c.State != Read || c.Pages != 3 || c.Objects != 1200 {
		t.Errorf("coverage of pods is %+v, want 3 pages of 1200 objects read", c)
	}
	if n := server.asked("/api/v1/pods"); n != 3 {
		t.Errorf("pods were asked for %d times, want 3 pages", n)
	}
	for _, reading := range readings() {
		path := "/" + strings.Join(reading.path(""), "/")
		want := 1
		if reading.gvr.Resource == "secrets" {
			want = 2 // the TLS secrets, and the others' metadata
		}
		if n := server.asked(path); reading.kind != Pods && !reading.custom() && n != want {
			t.Errorf("%s was asked for %d times, want %d", path, n, want)
		}
	}
}

func TestAKindIsNarrowedByFields(t *testing.T) {
	server := newFakeServer(t)
	live := server.live()
	live.Fields = map[Kind]string{Pods: "spec.serviceAccountName=", TLSSecrets: "metadata.namespace!=shop"}
	if _, err := live.Load(t.Context(), []Kind{Pods, TLSSecrets, Nodes}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"/api/v1/pods": "spec.serviceAccountName=", "/api/v1/secrets": "type=kubernetes.io/tls,metadata.namespace!=shop", "/api/v1/nodes": ""}
	for _, r := range server.requests {
		selector, listed := want[r.URL.Path]
		if got := r.URL.Query().Get("fieldSelector"); listed && got != selector {
			t.Errorf("%s is narrowed by %q, want %q", r.URL.Path, got, selector)
		}
		delete(want, r.URL.Path)
	}
	if len(want) > 0 {
		t.Errorf("not asked for: %v", want)
	}
}

func TestSecretBodiesAreAskedForOnlyWithTheTLSFieldSelector(t *testing.T) {
	server := newFakeServer(t)
	if _, err := server.live().Load(t.Context(), everything()); err != nil {
		t.Fatal(err)
	}
	if server.asked("/api/v1/secrets") == 0 {
		t.Error("TLS secrets were not asked for")
	}
	for _, r := range server.requests {
		bodies := !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList")
		if strings.Contains(r.URL.Path, "/secrets") && bodies && r.URL.Query().Get("fieldSelector") != "type=kubernetes.io/tls" {
			t.Errorf("asked for the bodies of secrets without the selector: %s", r.URL)
		}
	}
}

func TestMetadataKindsAreAskedForWithoutTheirBodies(t *testing.T) {
	server := newFakeServer(t)
	s, err := server.live().Load(t.Context(), []Kind{ConfigMaps, ReplicaSets})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.ConfigMaps) != 1 || len(s.ReplicaSets) != 1 {
		t.Errorf("read %d config maps and %d replica sets, want 1 each", len(s.ConfigMaps), len(s.ReplicaSets))
	}
	for _, r := range server.requests {
		if strings.HasSuffix(r.URL.Path, "configmaps") && !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") {
			t.Errorf("asked for the bodies of config maps: Accept: %s", r.Header.Get("Accept"))
		}
	}
}

func TestOnlyNeededKindsAreRead(t *testing.T) {
	server := newFakeServer(t)
	s, err := server.live().Load(t.Context(), []Kind{Pods})
	if err != nil {
		t.Fatal(err)
	}
	if n := server.asked("/apis/apps/v1/deployments"); n != 0 {
		t.Errorf("deployments were asked for %d times, and nobody needed them", n)
	}
	if c := s.Coverage(Deployments); c.State != Unasked {
		t.Errorf("deployments are %q, want %q", c.State, Unasked)
	}
}

func TestObjectsAreTrimmed(t *testing.T) {
	server := newFakeServer(t)
	server.pods = 1
	s, err := server.live().Load(t.Context(), []Kind{Pods})
	if err != nil {
		t.Fatal(err)
	}
	if pod := s.Pods[0]; len(pod.ManagedFields) > 0 || len(pod.Annotations) > 0 {
		t.Errorf("managedFields and last-applied are kept: %v %v", pod.ManagedFields, pod.Annotations)
	}
}

func TestOneKindThatFailsDoesNotEndTheRead(t *testing.T) {
	for name, test := range map[string]struct {
		fault http.HandlerFunc
		want  State
	}{
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) {
			status(w, http.StatusForbidden, metav1.StatusReasonForbidden, "deployments is forbidden")
		}, Forbidden},
		"absent": {func(w http.ResponseWriter, _ *http.Request) {
			status(w, http.StatusNotFound, metav1.StatusReasonNotFound, "not found")
		}, Absent},
		"broken": {func(w http.ResponseWriter, _ *http.Request) {
			status(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, "etcd is gone")
		}, Failed},
		"unavailable": {func(w http.ResponseWriter, _ *http.Request) {
			status(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "no endpoints")
		}, Failed},
		"garbage": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
			_, _ = w.Write([]byte("k8s\x00\xff\xff garbage"))
		}, Failed},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("k8s\x00"))
		}, Failed},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			server.pods = 3
			server.faults["/apis/apps/v1/deployments"] = test.fault
			s, err := server.live().Load(t.Context(), []Kind{Pods, Deployments})
			if err != nil {
				t.Fatal(err)
			}
			if c := s.Coverage(Deployments); c.State != test.want || c.Reason == "" || c.Allow != "apiGroups: [apps], resources: [deployments], verbs: [list]" {
				t.Errorf("deployments are %+v, want state %q, a reason and the rule", c, test.want)
			}
			if len(s.Pods) != 3 {
				t.Errorf("read %d pods, want 3", len(s.Pods))
			}
		})
	}
}

func TestAKindWhoseLaterPageFailsIsNotRead(t *testing.T) {
	server := newFakeServer(t)
	server.pods = 1200
	server.faults["/api/v1/pods"] = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("continue") == "1000" {
			status(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, "etcd is gone")
			return
		}
		server.podPage(w, r)
	}
	s, err := server.live().Load(t.Context(), []Kind{Pods})
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Coverage(Pods); c.State != Failed || c.Objects != 1000 {
		t.Errorf("pods are %+v, want failed after 1000 objects", c)
	}
}

func TestATokenThatExpiresMidListGoesOnFromThere(t *testing.T) {
	server := newFakeServer(t)
	server.pods = 1200
	expired := false
	server.faults["/api/v1/pods"] = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("continue") == "500" && !expired {
			expired = true
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusGone)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","metadata":{"continue":"0500"},"status":"Failure","reason":"Expired","code":410}`))
			return
		}
		server.podPage(w, r)
	}
	s, err := server.live().Load(t.Context(), []Kind{Pods})
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Coverage(Pods); c.State != Read || len(s.Pods) != 1200 {
		t.Errorf("pods are %+v, want 1200 read", c)
	}
}

func TestAServerThatHangsEndsWithTheDeadline(t *testing.T) {
	server := newFakeServer(t)
	server.pods = 3
	released := make(chan struct{})
	t.Cleanup(func() { close(released) })
	server.faults["/apis/apps/v1/deployments"] = func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	s, err := server.live().Load(ctx, []Kind{Pods, Deployments})
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Coverage(Deployments); c.State != Failed || !strings.Contains(c.Reason, "deadline") {
		t.Errorf("deployments are %+v, want failed at the deadline", c)
	}
	if !s.WasRead(Pods) {
		t.Error("pods were not read")
	}
}

func TestAGroupThatDiscoveryCannotListIsTold(t *testing.T) {
	s, err := newFakeServer(t).live().Load(t.Context(), []Kind{Pods, EtcdSnapshots})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Origin.Unserved) != 1 || s.Origin.Unserved[0].GroupVersion != "broken.example.com/v1" {
		t.Errorf("unserved groups are %v, want broken.example.com/v1", s.Origin.Unserved)
	}
	if !s.WasRead(EtcdSnapshots) {
		t.Errorf("a custom resource of a sound group was not read: %+v", s.Coverage(EtcdSnapshots))
	}
}

func TestCustomResourcesThatTheServerLacksAreAbsentWithoutARequest(t *testing.T) {
	server := newFakeServer(t)
	s, err := server.live().Load(t.Context(), []Kind{Pods, ScaledObjects})
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Coverage(ScaledObjects); c.State != Absent {
		t.Errorf("scaled objects are %+v, want absent", c)
	}
	for _, r := range server.requests {
		if strings.Contains(r.URL.Path, "keda") {
			t.Errorf("asked for %s, which discovery does not list", r.URL.Path)
		}
	}
}

func TestThereIsNoSnapshotOfNothing(t *testing.T) {
	refuse := func(code int, reason metav1.StatusReason) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { status(w, code, reason, "no") }
	}
	t.Run("a dead server costs one request and one line", func(t *testing.T) {
		_, err := Live{Config: &rest.Config{Host: "http://127.0.0.1:1"}}.Load(t.Context(), everything())
		if err == nil || !strings.Contains(err.Error(), "cannot reach the server") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("credentials that the server refuses", func(t *testing.T) {
		server := newFakeServer(t)
		server.faults["/version"] = refuse(http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
		_, err := server.live().Load(t.Context(), everything())
		if err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing may be listed", func(t *testing.T) {
		server := newFakeServer(t)
		server.faults["/api/v1/pods"] = refuse(http.StatusForbidden, metav1.StatusReasonForbidden)
		server.faults["/readyz"] = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) } // anybody may ask
		_, err := server.live().Load(t.Context(), []Kind{Pods, ServerHealth})
		if err == nil || !strings.Contains(err.Error(), "nothing could be read") {
			t.Errorf("got %v", err)
		}
	})
}

func TestANarrowedReadAsksForOneNamespace(t *testing.T) {
	server := newFakeServer(t)
	server.faults["/api/v1/namespaces/shop/pods"] = server.podPage
	live := server.live()
	live.Namespace = "shop"
	if _, err := live.Load(t.Context(), []Kind{Pods}); err != nil {
		t.Fatal(err)
	}
	if server.asked("/api/v1/pods") > 0 || server.asked("/api/v1/namespaces/shop/pods") != 1 {
		t.Error("pods of all namespaces were asked for")
	}
}
