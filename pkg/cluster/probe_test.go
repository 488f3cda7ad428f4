package cluster

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

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
		KubeletStats: "/api/v1/nodes/n1/proxy/stats/summary", KubeletConfigs: "/api/v1/nodes/n1/proxy/configz", ServerMetrics: "/metrics", ServerHealth: "/readyz",
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
				s, err := server.live().Load(t.Context(), []Kind{Pods, kind})
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
	pods := []*corev1.Pod{
		{Spec: corev1.PodSpec{NodeName: "a"}},
		{Spec: corev1.PodSpec{NodeName: "c", Volumes: []corev1.Volume{claim}}},
	}
	if got := withClaimsFirst([]string{"a", "b", "c"}, pods); !slices.Equal(got, []string{"c", "a", "b"}) {
		t.Errorf("asked in the order %v", got)
	}
}
