package cluster

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// withNodes makes a server answer a list of ready nodes, n1 to n…
func withNodes(server *fakeServer, n int) {
	server.faults["/api/v1/nodes"] = func(w http.ResponseWriter, _ *http.Request) {
		list := &corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}}
		for i := range n {
			list.Items = append(list.Items, corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i+1)},
				Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
			})
		}
		writeProtobuf(w, list)
	}
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

const (
	summary = `{"node":{"fs":{"capacityBytes":1000,"availableBytes":100,"usedBytes":500,"inodes":10,"inodesUsed":1}},
		"pods":[{"volume":[{"name":"data","pvcRef":{"name":"db","namespace":"shop"},"capacityBytes":100,"availableBytes":10,"usedBytes":85},{"name":"tmp","usedBytes":1}]}]}`
	metrics = `# HELP apiserver_request_sli_duration_seconds [ALPHA] how long
# TYPE apiserver_request_sli_duration_seconds histogram
apiserver_request_sli_duration_seconds_bucket{verb="LIST",resource="pods",scope="cluster",le="0.5"} 90
apiserver_request_sli_duration_seconds_bucket{verb="LIST",resource="pods",scope="cluster",le="2"} 100
apiserver_request_sli_duration_seconds_bucket{verb="LIST",resource="pods",scope="cluster",le="+Inf"} 100
apiserver_request_sli_duration_seconds_sum{verb="LIST",resource="pods",scope="cluster"} 50
apiserver_request_sli_duration_seconds_count{verb="LIST",resource="pods",scope="cluster"} 100
# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="flowcontrol.apiserver.k8s.io",version="v1beta3",resource="flowschemas",subresource="",removed_release="1.32"} 1
# TYPE something_else gauge
something_else{ this is not even a metric
`
)

func TestProbesReadWhatKubeletsAndTheServerSayOfThemselves(t *testing.T) {
	server := newFakeServer(t)
	withNodes(server, 1)
	server.faults["/api/v1/nodes/n1/proxy/stats/summary"] = answer(summary)
	server.faults["/api/v1/nodes/n1/proxy/configz"] = answer(`{"kubeletconfig":{"rotateCertificates":true,"authentication":{"anonymous":{"enabled":true}}}}`)
	server.faults["/metrics"] = answer(metrics)
	server.faults["/readyz"] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n")
	}
	s, err := server.live().Load(t.Context(), []Kind{KubeletStats, KubeletConfigs, ServerMetrics, ServerHealth})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Kind{KubeletStats, KubeletConfigs, ServerMetrics, ServerHealth} {
		if c := s.Coverage(kind); c.State != Read {
			t.Errorf("%s: %+v", kind, c)
		}
	}
	stats := s.NodeStats["n1"]
	if stats.Disk.UsedBytes != 900 || len(stats.Volumes) != 1 || stats.Volumes[0].UsedBytes != 90 || stats.Volumes[0].Claim != "db" {
		t.Errorf("stats: %+v", stats)
	}
	if config := s.KubeletConfigs["n1"]; !config.RotateCertificates || !config.Authentication.Anonymous.Enabled {
		t.Errorf("configuration: %+v", config)
	}
	if m := s.ServerMetrics; len(m.Latencies) != 1 || m.Latencies[0].P99 != 2 || len(m.DeprecatedAPIs) != 1 || m.DeprecatedAPIs[0].Removed != "1.32" {
		t.Errorf("metrics: %+v", m)
	}
	if len(s.FailingChecks) != 1 || s.FailingChecks[0] != (FailingCheck{"etcd", "reason withheld"}) {
		t.Errorf("failing checks: %v", s.FailingChecks)
	}
}

func TestAProbeThatFailsIsToldAndEndsNothing(t *testing.T) {
	paths := map[Kind]string{
		KubeletStats: "/api/v1/nodes/n1/proxy/stats/summary", KubeletConfigs: "/api/v1/nodes/n1/proxy/configz", KubeletTTLs: "/api/v1/nodes/n1/proxy/metrics", ServerMetrics: "/metrics", ServerHealth: "/readyz",
	}
	for name, test := range map[string]struct {
		fault http.HandlerFunc
		want  State
	}{
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) {
			status(w, http.StatusForbidden, metav1.StatusReasonForbidden, "forbidden: no")
		}, Forbidden},
		"broken": {func(w http.ResponseWriter, _ *http.Request) {
			status(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, "no")
		}, Failed},
		"hanging": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Failed},
		"hanging half-way": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("{"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, Failed},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat("x", 1<<20)) // and, of metrics, a line without an end
			for range 9 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, Failed},
		"garbage": {answer("\x00\xff{{{ garbage"), Failed},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{"))
		}, Failed},
	} {
		for kind, path := range paths {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				server := newFakeServer(t)
				server.pods = 3
				withNodes(server, 1)
				server.faults[path] = test.fault
				live := server.live()
				live.Config.Timeout = 250 * time.Millisecond
				s, err := live.Load(t.Context(), []Kind{Pods, kind})
				if err != nil {
					t.Fatal(err)
				}
				if c := s.Coverage(kind); c.State != test.want || c.Reason == "" || c.Allow == "" {
					t.Errorf("%+v, want %s with a reason and a rule", c, test.want)
				}
				if len(s.Pods) != 3 {
					t.Error("pods were not read")
				}
			})
		}
	}
}

// TestNoMoreThanTenRequestsAreInFlight answers no kubelet before more than that
// have been asked, or it is plain that they will not be.
func TestNoMoreThanTenRequestsAreInFlight(t *testing.T) {
	server := newFakeServer(t)
	withNodes(server, 30)
	var inFlight, most atomic.Int64
	tooMany := make(chan struct{})
	var once sync.Once
	for i := range 30 {
		for _, path := range []string{"stats/summary", "configz", "metrics"} {
			server.faults[fmt.Sprintf("/api/v1/nodes/n%d/proxy/%s", i+1, path)] = func(w http.ResponseWriter, _ *http.Request) {
				now := inFlight.Add(1)
				defer inFlight.Add(-1)
				for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
				}
				if now > atOnce {
					once.Do(func() { close(tooMany) })
				}
				select {
				case <-tooMany:
				case <-time.After(50 * time.Millisecond):
				}
				fmt.Fprint(w, "{}")
			}
		}
	}
	if _, err := server.live().Load(t.Context(), []Kind{Pods, KubeletStats, KubeletConfigs, KubeletTTLs}); err != nil {
		t.Fatal(err)
	}
	if n := most.Load(); n != atOnce {
		t.Errorf("%d requests were in flight, and %d are due", n, atOnce)
	}
}

func TestProbesAreMadeOnlyWhenNeeded(t *testing.T) {
	server := newFakeServer(t)
	withNodes(server, 2)
	if _, err := server.live().Load(t.Context(), []Kind{Pods, Nodes}); err != nil {
		t.Fatal(err)
	}
	for _, r := range server.requests {
		if strings.Contains(r.URL.Path, "/proxy/") || r.URL.Path == "/metrics" || r.URL.Path == "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
	}
}

func TestSomeKubeletsThatDoNotAnswerAreCounted(t *testing.T) {
	server := newFakeServer(t)
	withNodes(server, 3)
	server.faults["/api/v1/nodes/n2/proxy/stats/summary"] = answer(summary)
	s, err := server.live().Load(t.Context(), []Kind{KubeletStats})
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Coverage(KubeletStats); c.State != Read || !strings.Contains(c.Reason, "2 of 3 kubelets did not answer") {
		t.Errorf("%+v", c)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	r := &limitedReader{strings.NewReader("12345678"), 4}
	got := make([]byte, 8)
	if n, err := r.Read(got); n != 4 || err != nil {
		t.Errorf("first %d, %v", n, err)
	}
	if _, err := r.Read(got); err == nil {
		t.Error("read beyond its bound")
	}
}

func TestKubeletsOfPodsWithClaimsAreAskedFirst(t *testing.T) {
	claim := corev1.Volume{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}
	pods := []*Pod{
		newPod(&corev1.Pod{Spec: corev1.PodSpec{NodeName: "a"}}),
		newPod(&corev1.Pod{Spec: corev1.PodSpec{NodeName: "c", Volumes: []corev1.Volume{claim}}}),
	}
	if got := withClaimsFirst([]string{"a", "b", "c"}, pods); !slices.Equal(got, []string{"c", "a", "b"}) {
		t.Errorf("asked in the order %v", got)
	}
}

func TestOfMetricsNoMoreIsKeptThanIsBoundedFor(t *testing.T) {
	line := "apiserver_storage_size_bytes{x=\"" + strings.Repeat("y", 60<<10) + "\"} 1\n"
	var readers []io.Reader
	for range largestKept/len(line) + 2 {
		readers = append(readers, strings.NewReader(line))
	}
	many := io.MultiReader(readers...)
	if _, err := keepFamilies(many, wanted()...); !errors.Is(err, errTooLarge) {
		t.Errorf("many wanted lines: %v", err)
	}
	if _, err := keepFamilies(strings.NewReader(strings.Repeat("z", 65<<10)), wanted()...); !errors.Is(err, errTooLarge) {
		t.Errorf("one long line: %v", err)
	}
	if kept, err := keepFamilies(strings.NewReader("other 1\n"+line), wanted()...); err != nil {
		t.Error(err)
	} else if text, _ := io.ReadAll(kept); string(text) != line {
		t.Errorf("kept %d bytes, want %d", len(text), len(line))
	}
}

func TestWhatKubeletsSayOfTheirCertificates(t *testing.T) {
	server := newFakeServer(t)
	withNodes(server, 3)
	server.faults["/api/v1/nodes/n1/proxy/metrics"] = answer("# TYPE kubelet_certificate_manager_server_ttl_seconds gauge\nkubelet_certificate_manager_server_ttl_seconds +Inf\n" +
		"# TYPE kubelet_certificate_manager_client_ttl_seconds gauge\nkubelet_certificate_manager_client_ttl_seconds 86400\n# TYPE kubelet_cgroup_version gauge\nkubelet_cgroup_version 1\n# TYPE go_goroutines gauge\ngo_goroutines 7\n")
	server.faults["/api/v1/nodes/n2/proxy/metrics"] = answer("# TYPE go_goroutines gauge\ngo_goroutines 7\n")
	s, err := server.live().Load(t.Context(), []Kind{KubeletTTLs})
	if err != nil {
		t.Fatal(err)
	}
	if m := s.KubeletMetrics["n1"]; !math.IsInf(m.ServerTTL, 1) || m.ClientTTL != 86400 || m.CgroupVersion != 1 {
		t.Errorf("%+v", m)
	}
	if c := s.Coverage(KubeletTTLs); !strings.Contains(c.Reason, "2 of 3 kubelets did not answer") {
		t.Errorf("%+v", c)
	}
}
