package observability

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

func TestTheMetricsAPIIsJudgedByHowItsListEnds(t *testing.T) {
	for name, c := range map[string]struct {
		status              int
		finding, notChecked string
	}{
		"served":                  {status: http.StatusOK},
		"absent is a finding":     {status: http.StatusNotFound, finding: "is not served"},
		"broken is a finding":     {status: http.StatusServiceUnavailable, finding: "registered but unavailable: the server is currently unable"},
		"forbidden is no verdict": {status: http.StatusForbidden, notChecked: "nodes.metrics.k8s.io is forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(apiServer(c.status))
			defer server.Close()
			s, err := cluster.Live{Config: &rest.Config{Host: server.URL}}.Load(t.Context(), []cluster.Kind{cluster.Namespaces, cluster.NodeMetrics})
			if err != nil {
				t.Fatal(err)
			}
			verdict := MetricsAPIMissing().Check(s)
			var said []string
			for _, f := range verdict.Findings {
				said = append(said, f.Message)
			}
			if got := strings.Join(said, "\n"); (c.finding == "") != (got == "") || !strings.Contains(got, c.finding) {
				t.Errorf("found %q, want %q", got, c.finding)
			}
			if (c.notChecked == "") != (verdict.NotChecked == "") || !strings.Contains(verdict.NotChecked, c.notChecked) {
				t.Errorf("not checked %q, want %q", verdict.NotChecked, c.notChecked)
			}
		})
	}
}

// apiServer answers what a run asks, and the list of node metrics with status.
func apiServer(status int) http.Handler {
	mux := http.NewServeMux()
	answer := func(path string, code int, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		})
	}
	answer("/version", http.StatusOK, `{"gitVersion": "v1.37.2"}`)
	answer("/api/v1/namespaces", http.StatusOK, `{"apiVersion": "v1", "kind": "NamespaceList", "items": []}`)
	body := `{"apiVersion": "metrics.k8s.io/v1beta1", "kind": "NodeMetricsList", "items": []}`
	if status != http.StatusOK {
		body = ""
	}
	if status == http.StatusForbidden {
		body = `{"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "nodes.metrics.k8s.io is forbidden"}`
	}
	answer("/apis/metrics.k8s.io/v1beta1/nodes", status, body)
	return mux
}
