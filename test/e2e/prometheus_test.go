//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// TestPrometheus holds harden to a real Prometheus that the cluster's API server
// leads to: it sizes containers by its history, and has it load its alerts.
func TestPrometheus(t *testing.T) {
	programs := strings.TrimSpace(mustRun(t, nil, filepath.Join(root, "bin", "test-cluster"), "programs", "prometheus"))
	t.Parallel()
	c := up(t, "e2e-prometheus")
	a := newApplier(t, c)
	for _, m := range modules() {
		if strings.HasSuffix(m.path, "/prometheus-operator") {
			a.definitions(t, filepath.Join(m.download(t), m.definitions))
		}
	}
	a.established(t, schema.GroupKind{Group: "monitoring.coreos.com", Kind: "PrometheusRule"})
	a.applyFile(t, filepath.Join("testdata", "prometheus", "stack.yaml"))
	c.must(t, "apply", "-f", filepath.Join("testdata", "prometheus", "ledger.yaml")) // as a person would
	p := &prometheus{testCluster: c, programs: programs, dir: t.TempDir()}
	p.remember(t)
	p.start(t)
	p.introduce(t)
	h := &hardened{testCluster: c, state: t.TempDir()}
	t.Run("requests are lowered by a week, and by no less", func(t *testing.T) { sizesByHistory(t, h) })
	t.Run("the alerts are loaded, fire, and keep silent", func(t *testing.T) { p.takesAlerts(t, h) })
}

// prometheus is a real Prometheus beside the cluster, in the place of the pod
// that stands for it.
type prometheus struct {
	*testCluster
	programs, dir string
	address, port string
	process       *os.Process
}

func (p *prometheus) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	command := exec.Command(filepath.Join(p.programs, program), args...)
	command.Dir = p.dir
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// remember writes a week of the kubelets' figures, five minutes apart, into
// Prometheus' own store: ledger's by the pods of two templates, young's of two
// days, payroll's with a peak on one of its days.
func (p *prometheus) remember(t *testing.T) {
	t.Helper()
	const step = 300
	now := time.Now().Unix()
	type series struct {
		pod, container string
		from, to       int64 // seconds ago
		memory         func(ago int64) float64
		cores          func(ago int64) float64
	}
	wave := func(base, height float64) func(int64) float64 { // by day and night
		return func(ago int64) float64 { return base + height*(1+math.Sin(2*math.Pi*float64(ago)/86400))/2 }
	}
	const week, day, mib = 7*86400 + 7200, 86400, 1 << 20
	all := []series{
		{"ledger-6d4b75cb6d-x2k4v", "ledger", week, 3 * day, wave(200*mib, 200*mib), wave(0.1, 0.2)},
		{"ledger-5f7c9d8b4f-zq8wt", "ledger", 3 * day, 0, wave(200*mib, 100*mib), wave(0.1, 0.1)},
		{"young-6d4b75cb6d-x2k4v", "young", 2 * day, 0, wave(100*mib, 0), wave(0.1, 0)},
		{"payroll-6d4b75cb6d-x2k4v", "payroll", week, 0, func(ago int64) float64 {
			if ago > 4*day && ago < 4*day+3600 {
				return 1900 * mib
			}
			return 150 * mib
		}, func(ago int64) float64 {
			if ago%day < day/10 { // more than a twentieth of the time
				return 1.6
			}
			return 0.1
		}},
	}
	var text strings.Builder
	text.WriteString("# TYPE container_memory_working_set_bytes gauge\n")
	for _, s := range all {
		for ago := s.from; ago >= s.to; ago -= step {
			fmt.Fprintf(&text, "container_memory_working_set_bytes{namespace=\"books\",pod=%q,container=%q} %.0f %d\n", s.pod, s.container, s.memory(ago), now-ago)
		}
	}
	text.WriteString("# TYPE container_cpu_usage_seconds counter\n")
	for _, s := range all {
		total := 0.0
		for ago := s.from; ago >= s.to; ago -= step {
			fmt.Fprintf(&text, "container_cpu_usage_seconds_total{namespace=\"books\",pod=%q,container=%q} %.3f %d\n", s.pod, s.container, total, now-ago)
			total += s.cores(ago) * step
		}
	}
	text.WriteString("# EOF\n")
	writeFile(t, filepath.Join(p.dir, "history.om"), text.String())
	p.run(t, "promtool", "tsdb", "create-blocks-from", "--quiet", "--max-block-duration", "240h", "openmetrics", "history.om", "data")
}

// start starts Prometheus where the API server can reach it: it refuses the
// loopback address.
func (p *prometheus) start(t *testing.T) {
	t.Helper()
	p.address = ownAddress(t)
	listener, err := net.Listen("tcp4", p.address+":0")
	if err != nil {
		t.Fatal(err)
	}
	_, p.port, _ = net.SplitHostPort(listener.Addr().String())
	_ = listener.Close()
	writeFile(t, filepath.Join(p.dir, "prometheus.yml"), "global: {evaluation_interval: 1s}\nrule_files: [\"*.rules.yaml\"]\n")
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(p.programs, "prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+p.address+":"+p.port)
	command.Dir, command.Stdout, command.Stderr = p.dir, log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p.process = command.Process
	t.Cleanup(func() {
		_ = p.process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	eventually(t, time.Minute, func() error {
		if err := ask("http://" + p.address + ":" + p.port + "/-/ready"); err != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%w\n%s", err, text)
		}
		return nil
	})
}

// ownAddress is an address of this machine that is not its loopback's.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	t.Fatal("this machine has no address but the loopback's")
	return ""
}

// introduce has a simulated pod stand for Prometheus, under the address and port
// of the real one.
func (p *prometheus) introduce(t *testing.T) {
	t.Helper()
	pod := filepath.Join(t.TempDir(), "pod.yaml")
	writeFile(t, pod, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: prometheus-k8s-0, namespace: monitoring, labels: {app: prometheus}}
spec:
  containers:
  - name: prometheus
    image: quay.io/prometheus/prometheus:v3.13.0
    args: ["--web.listen-address=0.0.0.0:%[1]s"]
    ports: [{name: web, containerPort: %[1]s}]
`, p.port))
	p.must(t, "apply", "-f", pod)
	p.must(t, "wait", "-n", "monitoring", "--for=condition=Ready", "pod/prometheus-k8s-0", "--timeout=60s")
	p.must(t, "patch", "pod", "-n", "monitoring", "prometheus-k8s-0", "--subresource=status", "--type=merge", "-p",
		fmt.Sprintf(`{"status":{"podIP":%[1]q,"podIPs":[{"ip":%[1]q}]}}`, p.address))
	eventually(t, 30*time.Second, func() error {
		if r := p.kubectl(t, nil, "get", "--raw", prometheusProxy+"/-/ready"); r.code != 0 {
			return errNotYet(r.stderr)
		}
		return nil
	})
	// A sample counts of pods that have run for ten minutes.
	eventually(t, time.Minute, p.podsReady(t, "books"))
	for pod := range strings.FieldsSeq(p.must(t, "get", "pods", "-n", "books", "-o", "name")) {
		p.must(t, "patch", pod, "-n", "books", "--subresource=status", "--type=merge", "-p",
			fmt.Sprintf(`{"status":{"startTime":%q}}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)))
	}
	eventually(t, 2*time.Minute, func() error {
		if out := p.kubectl(t, nil, "top", "pods", "-n", "books", "--no-headers").stdout; strings.Count(out, "\n") < 5 {
			return errNotYet(out)
		}
		return nil
	})
}

const prometheusProxy = "/api/v1/namespaces/monitoring/services/prometheus-operated:web/proxy"

func sizesByHistory(t *testing.T, h *hardened) {
	before := h.specs(t)
	fix := []string{"--fix", "request-oversized"}
	d, _ := h.doctor(t, nil, "--check", "request-oversized")
	for object, want := range map[string]bool{"deployment.apps/ledger": true, "deployment.apps/young": true, "deployment.apps/unknown": true, "deployment.apps/payroll": false} {
		if has(d, "request-oversized", object) != want {
			t.Errorf("doctor finds %s oversized: %v", object, !want)
		}
	}
	plan, r := h.plan(t, append(fix, "--yes", "--soak", "0s")...)
	if r.code != 0 || plan.Count(report.Applied) != 1 {
		t.Fatalf("exit code %d: %+v %+v\n%s", r.code, plan.Changes, plan.Unsafe, r.stderr)
	}
	for _, want := range []string{
		`container "ledger" uses 0.30 cores, the 95th percentile of its fullest pod over 7 days in Prometheus; × 1.15`,
		`container "ledger" uses 400 MiB, the peak of its fullest pod over 7 days in Prometheus; × 1.15`,
	} {
		if why := plan.Changes[0].Why; !strings.Contains(why, want) {
			t.Errorf("it is proposed because %s", why)
		}
	}
	requests := h.must(t, "get", "deployment", "ledger", "-n", "books", "-o", "jsonpath={.spec.template.spec.containers[0].resources.requests}")
	if requests != `{"cpu":"350m","memory":"464Mi"}` {
		t.Errorf("ledger requests %s", requests)
	}
	told := map[string]string{}
	for _, u := range plan.Unsafe {
		told[u.Object.Name] = u.Reason
	}
	for name, want := range map[string]string{
		"young":   "over 2 days in Prometheus: too little to take room away",
		"unknown": "the Prometheus of the cluster (monitoring/prometheus-operated:web) has no figures of it",
	} {
		if !strings.Contains(told[name], want) {
			t.Errorf("%s: %s", name, told[name])
		}
	}
	if again, r := h.plan(t, append(fix, "--yes")...); r.code != 0 || len(again.Changes) > 0 {
		t.Errorf("a second run proposes %+v", again.Changes)
	}
	if r := h.harden(t, "undo", "--all"); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	sameSpecs(t, h.specs(t), before)
}

// takesAlerts has harden write the PrometheusRule, and Prometheus load it, as the
// operator would have it do.
func (p *prometheus) takesAlerts(t *testing.T, h *hardened) {
	const chapter = "alert-node-utilisation-missing,alert-restart-loop-missing,alert-volume-usage-missing,alert-certificate-missing,alert-apiserver-latency-missing"
	plan, r := h.plan(t, "--fix", chapter, "--yes")
	if r.code != 0 || plan.Count(report.Applied) != 1 {
		t.Fatalf("exit code %d: %+v %+v\n%s", r.code, plan.Changes, plan.Unsafe, r.stderr)
	}
	var rule struct {
		Metadata struct{ UID string }
		Spec     json.RawMessage
	}
	if err := json.Unmarshal([]byte(p.must(t, "get", "prometheusrule", "production-essentials", "-n", "monitoring", "-o", "json")), &rule); err != nil {
		t.Fatal(err)
	}
	rules, err := yaml.JSONToYAML(rule.Spec)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(p.dir, "rules.yaml"), string(rules))
	t.Logf("%s", p.run(t, "promtool", "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"))
	cases, err := os.ReadFile(filepath.Join("testdata", "prometheus", "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(p.dir, "alerts_test.yaml"), string(cases))
	t.Logf("%s", p.run(t, "promtool", "test", "rules", "alerts_test.yaml"))

	writeFile(t, filepath.Join(p.dir, "monitoring-production-essentials-"+rule.Metadata.UID+".rules.yaml"), string(rules))
	if err := p.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	healthy := 0
	eventually(t, 30*time.Second, func() error {
		var answer struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		if err := json.Unmarshal([]byte(p.must(t, "get", "--raw", prometheusProxy+"/api/v1/rules")), &answer); err != nil {
			return err
		}
		healthy = 0
		for _, group := range answer.Data.Groups {
			for _, rule := range group.Rules {
				if rule.Health != "ok" {
					return errNotYet(rule)
				}
				healthy++
			}
		}
		if len(answer.Data.Groups) != 5 {
			return errNotYet(answer.Data.Groups)
		}
		return nil
	})
	t.Logf("%d rules are loaded and healthy", healthy)
	d, _ := h.doctor(t, nil, "--check", chapter)
	for _, f := range d.Findings {
		t.Errorf("doctor still finds %s: %s", f.Practice, f.Message)
	}
	if again, r := h.plan(t, "--fix", chapter, "--yes"); r.code != 0 || len(again.Changes) > 0 {
		t.Errorf("a second run proposes %+v", again.Changes)
	}
	if r := h.harden(t, "undo", "--all"); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	if r := p.kubectl(t, nil, "get", "prometheusrule", "production-essentials", "-n", "monitoring"); r.code == 0 {
		t.Error("the rule is left")
	}
}
