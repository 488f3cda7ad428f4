//go:build e2e

package e2e

import (
	"net/http"
	"sync"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/test/fault"
)

// recorder stands between the plugin and the API server and notes every
// request.
type recorder struct {
	kubeconfig string
	proxy      *fault.Proxy

	// between, where set, stands before each request and serves it, or not.
	between func(request *http.Request, serve func())

	mu       sync.Mutex
	requests []fault.Request
}

// record is the cluster behind a recorder.
func (c *testCluster) record(t *testing.T) *recorder {
	t.Helper()
	proxy := fault.NewProxy(t, c.kubeconfig)
	r := &recorder{kubeconfig: proxy.Kubeconfig, proxy: proxy}
	proxy.Spoil(fault.Rule{Fault: func(w http.ResponseWriter, request *http.Request, pass http.Handler) {
		serve := func() { pass.ServeHTTP(w, request) }
		if r.between != nil {
			r.between(request, serve)
			return
		}
		serve()
	}})
	return r
}

// seen are all requests so far.
func (r *recorder) seen() []fault.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, r.proxy.Requests()...)
	return r.requests
}

// lists counts the first pages of LISTs by path; two that ask for different
// objects of a path, by field selector, are two.
func (r *recorder) lists() map[string]int {
	lists := map[string]int{}
	for _, request := range r.seen() {
		query := request.URL.Query()
		if query.Has("limit") && !query.Has("continue") {
			lists[request.Method+" "+request.URL.Path+" "+query.Get("fieldSelector")]++
		}
	}
	return lists
}

// all are the requests as text: "GET /api/v1/pods?limit=500 application/json".
func (r *recorder) all() []string {
	var all []string
	for _, request := range r.seen() {
		all = append(all, request.Method+" "+request.URL.String()+" "+request.Accept)
	}
	return all
}
