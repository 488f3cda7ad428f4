//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// recorder stands between the plugin and the API server and notes every
// request.
type recorder struct {
	kubeconfig string

	// between, where set, stands before each request and serves it, or not.
	between func(request *http.Request, serve func())

	mu       sync.Mutex
	requests []string // "GET /api/v1/pods?limit=500 application/vnd.kubernetes.protobuf"
}

// record is the cluster behind a recorder.
func (c *testCluster) record(t *testing.T) *recorder {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(request *httputil.ProxyRequest) { request.SetURL(target) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, request.Method+" "+request.URL.String()+" "+request.Header.Get("Accept"))
		r.mu.Unlock()
		if r.between != nil {
			r.between(request, func() { proxy.ServeHTTP(w, request) })
			return
		}
		proxy.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: recorded
clusters: [{name: recorded, cluster: {server: %q}}]
contexts: [{name: recorded, context: {cluster: recorded, user: ""}}]
`, server.URL)
	if err := os.WriteFile(r.kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// lists counts the first pages of LISTs by path; two that ask for different
// objects of a path, by field selector, are two.
func (r *recorder) lists() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	lists := map[string]int{}
	for _, request := range r.requests {
		path, query, _ := strings.Cut(request, "?")
		query, _, _ = strings.Cut(query, " ")
		values, err := url.ParseQuery(query)
		if err == nil && values.Has("limit") && !values.Has("continue") {
			lists[path+" "+values.Get("fieldSelector")]++
		}
	}
	return lists
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.requests...)
}
