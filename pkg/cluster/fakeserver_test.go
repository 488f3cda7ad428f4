package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// fakeServer is as much of an API server as a read needs, with a record of
// what was asked of it. Faults are set by path.
type fakeServer struct {
	*httptest.Server
	pods   int // how many pods there are, in pages of the limit asked for
	faults map[string]http.HandlerFunc

	mu       sync.Mutex
	requests []*http.Request
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	f := &fakeServer{faults: map[string]http.HandlerFunc{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeServer) live() Live {
	return Live{Config: &rest.Config{Host: f.URL}, Context: "fake"}
}

func (f *fakeServer) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	fault := f.faults[r.URL.Path]
	f.mu.Unlock()
	switch {
	case fault != nil:
		fault(w, r)
	case r.URL.Path == "/version":
		fmt.Fprint(w, `{"gitVersion":"v1.37.2"}`)
	case r.URL.Path == "/api", r.URL.Path == "/apis":
		w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		fmt.Fprint(w, f.discovery(r.URL.Path))
	case r.URL.Path == "/api/v1/pods":
		f.podPage(w, r)
	case strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList"):
		writeProtobuf(w, &metav1.PartialObjectMetadataList{
			TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"},
			Items:    []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Name: "only-metadata", Namespace: "shop"}}},
		})
	case r.URL.Path == "/api/v1/secrets":
		writeProtobuf(w, &corev1.SecretList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "SecretList"}})
	case r.URL.Path == "/apis/apps/v1/deployments":
		writeProtobuf(w, &appsv1.DeploymentList{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DeploymentList"}})
	default:
		status(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
	}
}

// discovery is aggregated discovery; metrics.k8s.io is registered and stale.
func (f *fakeServer) discovery(path string) string {
	if path == "/api" {
		return `{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[{"versions":[{"version":"v1","resources":[{"resource":"pods","responseKind":{"kind":"Pod","version":"v1"},"scope":"Namespaced","verbs":["list"]}]}]}]}`
	}
	return `{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[
		{"metadata":{"name":"broken.example.com"},"versions":[{"version":"v1","freshness":"Stale"}]},
		{"metadata":{"name":"k3s.cattle.io"},"versions":[{"version":"v1","freshness":"Current","resources":[{"resource":"etcdsnapshotfiles","responseKind":{"group":"k3s.cattle.io","version":"v1","kind":"ETCDSnapshotFile"},"scope":"Cluster","verbs":["list"]}]}]}]}`
}

func (f *fakeServer) podPage(w http.ResponseWriter, r *http.Request) {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
	for i := from; i < f.pods && i < from+limit; i++ {
		list.Items = append(list.Items, corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("pod-%05d", i), Namespace: "shop", UID: "u",
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
			Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "{}"},
		}})
	}
	if from+limit < f.pods {
		list.Continue = strconv.Itoa(from + limit)
	}
	writeProtobuf(w, list)
}

func writeProtobuf(w http.ResponseWriter, object runtime.Object) {
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	if err := protobuf.NewSerializer(clientscheme.Scheme, clientscheme.Scheme).Encode(object, w); err != nil {
		panic(err)
	}
}

func status(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})
}

// asked counts the requests for a path.
func (f *fakeServer) asked(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if r.URL.Path == path {
			n++
		}
	}
	return n
}
