package cluster

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const prometheusPath = "/api/v1/namespaces/monitoring/services/prometheus-operated:web/proxy"

// withPrometheus makes a server show a Prometheus as its operator installs one,
// and answer for it what is given by path, or by query.
func withPrometheus(server *fakeServer, answers map[string]string) {
	server.faults["/api/v1/pods"] = func(w http.ResponseWriter, _ *http.Request) {
		writeProtobuf(w, &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: []corev1.Pod{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "prometheus-k8s-0", Labels: map[string]string{"app.kubernetes.io/name": "prometheus"}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{
				{Name: "config-reloader", Image: "quay.io/prometheus-operator/prometheus-config-reloader:v0.85.0"},
				{Name: "prometheus", Image: "quay.io/prometheus/prometheus:v3.5.0", Args: []string{"--web.route-prefix=/"}, Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 9090}}},
			}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning},
		}}})
	}
	server.faults["/api/v1/services"] = func(w http.ResponseWriter, _ *http.Request) {
		port := []corev1.ServicePort{{Name: "web", Port: 9090, TargetPort: intstr.FromString("web")}, {Name: "reloader", Port: 8080, TargetPort: intstr.FromString("reloader")}}
		writeProtobuf(w, &corev1.ServiceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceList"}, Items: []corev1.Service{
			{ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "another"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app.kubernetes.io/name": "prometheus"}, Ports: port}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "prometheus-operated"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app.kubernetes.io/name": "prometheus"}, Ports: port}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "prometheus-operated"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app.kubernetes.io/name": "prometheus"}, Ports: port}},
		}})
	}
	server.faults[prometheusPath+"/api/v1/rules"] = answer(answers["rules"])
	server.faults[prometheusPath+"/api/v1/query"] = func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.URL.Query().Get("query")]
		if !ok {
			body = `{"status":"success","data":{"resultType":"vector","result":[]}}`
		}
		fmt.Fprint(w, body)
	}
}

// vector is the answer to an instant query, as Prometheus writes it.
func vector(samples ...string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(samples, ",") + `]}}`
}

// loadedAnswer is as Prometheus 3.5 answers, with what we do not read.
const loadedAnswer = `{"status":"success","data":{"groups":[
 {"name":"node-exporter","file":"/etc/prometheus/rules/prometheus-k8s-rulefiles-0/monitoring-node-rules-5f7c.yaml","interval":30,"limit":0,"evaluationTime":0.001,"lastEvaluation":"2026-01-15T12:00:00Z","rules":[
  {"state":"inactive","name":"NodeFilesystemAlmostOutOfSpace","query":"node_filesystem_avail_bytes < 5","duration":1800,"labels":{"severity":"warning"},"annotations":{},"alerts":[],"health":"ok","evaluationTime":0.0003,"lastEvaluation":"2026-01-15T12:00:00Z","type":"alerting"},
  {"name":"instance:node_cpu:ratio","query":"sum(rate(node_cpu_seconds_total[5m]))","health":"err","lastError":"many-to-many matching not allowed","evaluationTime":0.0002,"lastEvaluation":"2026-01-15T12:00:00Z","type":"recording"}]}]}}`

func TestAPrometheusIsFoundAndAskedThroughTheAPIServer(t *testing.T) {
	server := newFakeServer(t)
	answers := map[string]string{"rules": loadedAnswer}
	for i, q := range questions(PrometheusVolumes) {
		answers[q.promQL] = vector(fmt.Sprintf(`{"metric":{"namespace":"shop","persistentvolumeclaim":"db"},"value":[1768478400.123,"%d"]}`, 10*(i+1)))
	}
	for _, q := range questions(PrometheusNodes) {
		answers[q.promQL] = vector(`{"metric":{"instance":"10.0.0.1:9100","nodename":"n1"},"value":[1768478400,"0.91"]}`, `{"metric":{"nodename":"n2"},"value":[1768478400,"NaN"]}`)
	}
	for i, q := range questions(PrometheusEtcd) {
		answers[q.promQL] = vector(fmt.Sprintf(`{"metric":{"instance":"10.0.0.1:2381"},"value":[1768478400,"%d"]}`, 1000-i))
	}
	answers[questions(PrometheusScraped)[0].promQL] = vector(`{"metric":{"namespace":"shop","pod":"cart-1"},"value":[1,"1"]}`, `{"metric":{"namespace":"shop","pod":"cart-2"},"value":[1,"0"]}`)
	answers[questions(PrometheusGPUs)[0].promQL] = vector(`{"metric":{"namespace":"ml","pod":"train-0"},"value":[1,"1.5"]}`)
	for i, q := range questions(PrometheusUsage) {
		answers[q.promQL] = vector(fmt.Sprintf(`{"metric":{"namespace":"shop","owner":"cart","container":"cart"},"value":[1,"%d"]}`, 100+i), `{"metric":{"container":"cart"},"value":[1,"9"]}`)
	}
	withPrometheus(server, answers)
	s, err := server.live().Load(t.Context(), prometheusKinds())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range prometheusKinds() {
		if c := s.Coverage(kind); c.State != Read || c.Objects == 0 {
			t.Errorf("%s: %+v", kind, c)
		}
	}
	p := s.Prometheus
	if p == nil || p.Service != "monitoring/prometheus-operated:web" {
		t.Fatalf("asked %+v", p)
	}
	if len(p.Rules) != 2 || !p.Rules[0].Alert || p.Rules[1].Failure != "many-to-many matching not allowed" {
		t.Errorf("rules: %+v", p.Rules)
	}
	if len(p.Volumes) != 1 || p.Volumes[0] != (VolumeStats{"shop", "db", Usage{CapacityBytes: 10, UsedBytes: 20, Inodes: 30, UsedInodes: 40}}) {
		t.Errorf("volumes: %+v", p.Volumes)
	}
	if len(p.NodeCPU) != 1 || p.NodeMemory["n1"] != 0.91 || p.NodeDisk["n1"] != 0.91 {
		t.Errorf("nodes: %+v %+v %+v", p.NodeCPU, p.NodeMemory, p.NodeDisk)
	}
	if p.Etcd["10.0.0.1:2381"] != (EtcdSize{1000, 999, 998}) {
		t.Errorf("etcd: %+v", p.Etcd)
	}
	if len(p.Usage) != 1 || p.Usage[pastKey{"shop", "cart", "cart"}] != (PastUse{Memory: 100, CPU: 101, HasCPU: true, Known: 102 * time.Hour}) {
		t.Errorf("usage: %+v", p.Usage)
	}
	if !p.Scraped[[2]string{"shop", "cart-1"}] || p.Scraped[[2]string{"shop", "cart-2"}] || p.GPUs[[2]string{"ml", "train-0"}] != 1.5 {
		t.Errorf("targets %v, GPUs %v", p.Scraped, p.GPUs)
	}
}

func TestPastUseIsThatOfAllPodsThatAnOwnerHasHad(t *testing.T) {
	s := &Snapshot{Prometheus: &Prometheus{Usage: map[pastKey]PastUse{
		{"shop", "cart", "app"}:   {CPU: 0.5, HasCPU: true, Memory: 100, Known: 167 * time.Hour},
		{"shop", "legacy", "app"}: {Memory: 300, Known: 2 * time.Hour},
		{"pay", "cart", "app"}:    {Memory: 900, Known: UsageSpan},
		{"shop", "fresh", "app"}:  {Memory: 100},
	}}}
	workload := func(name string, pods ...string) *Workload {
		w := &Workload{Self: Ref{Kind: "Deployment", Namespace: "shop", Name: name}}
		for _, pod := range pods {
			w.Pods = append(w.Pods, newPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: pod}}))
		}
		return w
	}
	for name, test := range map[string]struct {
		of   *Workload
		want PastUse
		ok   bool
	}{
		"a Deployment's": {workload("cart", "cart-6d4b75cb6d-x2k4v"), PastUse{CPU: 0.5, HasCPU: true, Memory: 100, Known: 167 * time.Hour}, true},
		"pods of another name, such as a custom resource's": {workload("rollout", "legacy-0"), PastUse{Memory: 300, Known: 2 * time.Hour}, true},
		"none":              {workload("worker", "worker-6d4b75cb6d-x2k4v"), PastUse{}, false},
		"none in this hour": {workload("fresh"), PastUse{}, false},
	} {
		if got, ok := s.PastUseOf(test.of, "app"); got != test.want || ok != test.ok {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	// As Prometheus' own label_replace has it.
	pattern := regexp.MustCompile("^(?:" + madeBy + ")$")
	for _, pod := range []string{"cart-6d4b75cb6d-x2k4v", "kafka-0", "node-exporter-x2k4v", "a-b-c-d", "web-6d4b75-x", "cart-backup-29475-abcde", "etcd-bcdfgh-1"} {
		if want := pattern.ReplaceAllString(pod, "$1"); ownerIn(pod) != want {
			t.Errorf("%s is of %s here, and of %s there", pod, ownerIn(pod), want)
		}
	}
}

func TestAPrometheusIsAskedOnlyWhatIsNeeded(t *testing.T) {
	server := newFakeServer(t)
	withPrometheus(server, map[string]string{"rules": loadedAnswer})
	if _, err := server.live().Load(t.Context(), []Kind{Pods, Services, PrometheusLoadedRules}); err != nil {
		t.Fatal(err)
	}
	if n, m := server.asked(prometheusPath+"/api/v1/rules"), server.asked(prometheusPath+"/api/v1/query"); n != 1 || m != 0 {
		t.Errorf("asked %d times for rules and %d times otherwise", n, m)
	}
}

func TestWithoutAPrometheusNothingIsAskedAndNothingIsMissing(t *testing.T) {
	server := newFakeServer(t)
	server.faults["/api/v1/services"] = func(w http.ResponseWriter, _ *http.Request) {
		writeProtobuf(w, &corev1.ServiceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceList"}})
	}
	s, err := server.live().Load(t.Context(), []Kind{PrometheusVolumes})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Known(PrometheusVolumes) || s.WasRead(PrometheusVolumes) || s.Prometheus != nil {
		t.Errorf("%+v", s.Coverage(PrometheusVolumes))
	}
}

func TestAPrometheusThatCannotBeAskedIsToldWithItsRule(t *testing.T) {
	for name, test := range map[string]struct {
		fault http.HandlerFunc
		want  State
		says  string
	}{
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) {
			status(w, http.StatusForbidden, metav1.StatusReasonForbidden, "forbidden: no")
		}, Forbidden, "forbidden"},
		"no endpoint": {func(w http.ResponseWriter, _ *http.Request) {
			status(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "no endpoints available for service")
		}, Failed, "no endpoints available"},
		"a login page": {answer("<html>log in</html>"), Failed, "not the answer of a Prometheus"},
		"another API":  {answer(`{"status":"ok"}`), Failed, "Prometheus says"},
		"an error":     {answer(`{"status":"error","errorType":"timeout","error":"query timed out"}`), Failed, "query timed out"},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range largestAnswer>>20 + 1 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, Failed, "too large"},
		"silent": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Failed, "no answer before the deadline"},
	} {
		for _, kind := range []Kind{PrometheusLoadedRules, PrometheusNodes} {
			t.Run(name+", "+string(kind), func(t *testing.T) {
				server := newFakeServer(t)
				withPrometheus(server, nil)
				server.faults[prometheusPath+"/api/v1/rules"] = test.fault
				server.faults[prometheusPath+"/api/v1/query"] = test.fault
				live := server.live()
				if live.Config.Timeout = 30 * time.Second; name == "silent" {
					live.Config.Timeout = 200 * time.Millisecond
				}
				s, err := live.Load(t.Context(), []Kind{Pods, kind})
				if err != nil {
					t.Fatal(err)
				}
				c := s.Coverage(kind)
				if c.State != test.want || !strings.Contains(c.Reason, test.says) {
					t.Errorf("%+v, want %s with %q", c, test.want, test.says)
				}
				if want := `apiGroups: [""], resources: [services/proxy], resourceNames: [prometheus-operated:web], verbs: [get]`; c.Allow != want {
					t.Errorf("allowed by %s, want %s", c.Allow, want)
				}
			})
		}
	}
}

func TestWhereAPrometheusAnswersBelow(t *testing.T) {
	for args, want := range map[string]string{
		"":                     "",
		"--web.route-prefix=/": "",
		"--web.external-url=https://example.com/prometheus/":                      "/prometheus",
		"--web.external-url=https://example.com/prometheus --web.route-prefix=/p": "/p",
	} {
		if got := routePrefix(&corev1.Container{Args: strings.Fields(args)}); got != want {
			t.Errorf("with %q below %q, want %q", args, got, want)
		}
	}
}
