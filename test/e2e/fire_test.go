//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
	"github.com/kubectl-prod/kubectl-prod/test/fault"
)

// fireDeadline is the longest that any cell may take: what waits for one answer,
// or retries, has ended by then.
const fireDeadline = 15 * time.Second

// outcome is how a cell of the matrix has to end.
type outcome string

const (
	// asEver: the fault is overcome, and the result is as without it.
	asEver outcome = "as ever"
	// notChecked: what could not be read is told, and what needs it is not judged.
	notChecked outcome = "not checked"
	// absent: the server does not serve it; told, but no gap.
	absent outcome = "absent"
)

// fires are what may happen to the requests of one LIST or probe.
func fires() map[string]struct {
	rule fault.Rule
	want outcome
} {
	type fire = struct {
		rule fault.Rule
		want outcome
	}
	return map[string]fire{
		"403":                   {fault.Rule{Fault: fault.Status(403, metav1.StatusReasonForbidden, 0)}, notChecked},
		"404":                   {fault.Rule{Fault: fault.Status(404, metav1.StatusReasonNotFound, 0)}, absent},
		"429 once":              {fault.Rule{Times: 1, Fault: fault.Status(429, metav1.StatusReasonTooManyRequests, 1)}, asEver},
		"500":                   {fault.Rule{Fault: fault.Status(500, metav1.StatusReasonInternalError, 0)}, notChecked},
		"503 once":              {fault.Rule{Times: 1, Fault: fault.Status(503, metav1.StatusReasonServiceUnavailable, 1)}, asEver},
		"no answer":             {fault.Rule{Fault: fault.Hang()}, notChecked},
		"a trickle":             {fault.Rule{Fault: fault.Trickle(50 * time.Millisecond)}, notChecked},
		"cut at the first byte": {fault.Rule{Fault: fault.Cut(1)}, notChecked},
		"cut at the tenth byte": {fault.Rule{Fault: fault.Cut(10)}, notChecked},
		"garbage":               {fault.Rule{Fault: fault.Garble()}, notChecked},
		"a portal's page":       {fault.Rule{Fault: fault.WebPage()}, notChecked},
		"a dropped connection":  {fault.Rule{Fault: fault.Drop()}, notChecked},
		"pages of one object":   {fault.Rule{Fault: fault.Pages(1)}, asEver},
	}
}

// TestFire sets fire to every read of doctor, one at a time, and holds that
// each ends in its time, is told, and judges nothing that it did not see.
func TestFire(t *testing.T) {
	c := up(t, "fire")
	shop, err := filepath.Abs(filepath.Join(root, "examples", "shop"))
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, "apply", "-f", shop)
	eventually(t, time.Minute, func() error { return c.podsReady(t, "shop")() })

	c.must(t, "apply", "-f", filepath.Join("testdata", "fire", "lone.yaml"))
	eventually(t, time.Minute, func() error { return c.podsReady(t, "fire")() })
	m := &matrix{}
	t.Run("drain-check", func(t *testing.T) { c.drainFires(t, m) })
	t.Run("harden plans", func(t *testing.T) { c.hardenPlans(t, m) })
	t.Run("harden writes", func(t *testing.T) { c.hardenWrites(t, m) })
	t.Run("backup-etcd", func(t *testing.T) { c.backupFires(t, m) })
	t.Run("doctor", func(t *testing.T) {
		for kind, practices := range readsOfDoctor() {
			t.Run(string(kind), func(t *testing.T) {
				t.Parallel()
				for name, fire := range fires() {
					if kind == cluster.ServerHealth && strings.HasSuffix(name, "once") {
						continue // a 503 is the very answer, and is not asked for again
					}
					if c.setFire(t, kind, practices, name, fire.rule, fire.want) {
						m.add("doctor", fire.want)
					}
				}
			})
		}
	})
	t.Run("doctor --now", func(t *testing.T) { c.nowFires(t, m) })
	t.Run("the server changes", func(t *testing.T) { c.midRun(t, m) })
	t.Run("the whole server", func(t *testing.T) { c.wholeServer(t) })
	t.Run("an interrupt ends each command", func(t *testing.T) { c.interruptedEach(t) })
	t.Run("an interrupt tells what was read", func(t *testing.T) { c.interrupted(t) })
	t.Logf("the fault matrix, cells that ended as declared:\n%s", m.table())
	m.published(t)
}

// wholeServer holds what is told when everything fails, or what all else
// stands on.
func (c *testCluster) wholeServer(t *testing.T) {
	for name, test := range map[string]struct {
		rule   fault.Rule
		code   int
		stderr string // its only line; "" where there is a report
	}{
		"it hangs":          {fault.Rule{Fault: fault.Hang()}, 2, "error: cannot reach the server http"},
		"it is a portal":    {fault.Rule{Fault: fault.WebPage()}, 2, "error: cannot use the server http"},
		"it drops":          {fault.Rule{Fault: fault.Drop()}, 2, "error: cannot reach the server http"},
		"it goes down soon": {fault.Rule{Skip: 12, Fault: fault.Drop()}, 2, ""},
		"it has no discovery": {fault.Rule{
			Match: func(r *http.Request) bool { return r.URL.Path == "/api" || r.URL.Path == "/apis" },
			Fault: fault.Status(500, metav1.StatusReasonInternalError, 0),
		}, 2, ""},
		"its clock is a year behind": {fault.Rule{Fault: fault.Clock(-365 * 24 * time.Hour)}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := fault.NewProxy(t, c.kubeconfig)
			proxy.Spoil(test.rule)
			start := time.Now()
			r := c.kubectl(t, []string{"KUBECONFIG=" + proxy.Kubeconfig}, "prod", "doctor", "-o", "json", "--skip", askingKubelets(),
				"--request-timeout", "2s", "--timeout", "10s", "--require-complete", "--fail-on", "none")
			if took := time.Since(start); took > fireDeadline {
				t.Errorf("took %s", took)
			}
			if r.code != test.code {
				t.Errorf("exit code %d, want %d\n%s", r.code, test.code, r.stderr)
			}
			if test.stderr != "" && (!strings.HasPrefix(r.stderr, test.stderr) || strings.Count(r.stderr, "\n") != 1 || r.stdout != "") {
				t.Errorf("told:\n%s%s", r.stdout, r.stderr)
			}
			if test.stderr == "" && !json.Valid([]byte(r.stdout)) {
				t.Errorf("no report:\n%s%s", r.stdout, r.stderr)
			}
		})
	}
}

// interrupted holds that Ctrl-C during a read that hangs prints what is known,
// says so, and ends at once.
func (c *testCluster) interrupted(t *testing.T) {
	proxy := fault.NewProxy(t, c.kubeconfig)
	asked := make(chan struct{})
	hang := fault.Hang()
	proxy.Spoil(fault.Rule{
		Match: func(r *http.Request) bool { return asksFor(r, cluster.Budgets) },
		Fault: func(w http.ResponseWriter, r *http.Request, pass http.Handler) { close(asked); hang(w, r, pass) },
	})
	command := exec.Command(c.lookUp(t, "kubectl"), "prod", "doctor", "-o", "json", "--check", "pdb-missing,memory-limit-unset")
	command.Env = append(os.Environ(), "KUBECONFIG="+proxy.Kubeconfig, "PATH="+c.path)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	eventually(t, time.Minute, func() error { // the other LISTs have been answered
		if len(proxy.Requests()) > 0 {
			return errors.New("still reading")
		}
		return nil
	})
	start := time.Now()
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := command.Wait()
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %s to end", took)
	}
	d := &report.Diagnosis{}
	if jsonErr := json.Unmarshal(stdout.Bytes(), d); jsonErr != nil || command.ProcessState.ExitCode() != 130 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("%v, %v\n%s%s", err, jsonErr, stdout.String(), stderr.String())
	}
	if !has(d, "memory-limit-unset", "deployment.apps/frontend") {
		t.Error("what was read is not told")
	}
}

// readsOfDoctor are the kinds of built-in APIs that practices need, each with
// practices that do; a few suffice to see it read. Simulated nodes have no
// kubelet that could be asked.
func readsOfDoctor() map[cluster.Kind][]practice.Practice {
	reads := map[cluster.Kind][]practice.Practice{}
	for _, p := range catalogue.All() {
		kinds := slices.Concat(p.Needs, p.Judges)
		if slices.ContainsFunc(slices.Concat(kinds, p.Uses), asksKubelets) {
			continue
		}
		for _, kind := range kinds {
			if len(reads[kind]) < 3 {
				reads[kind] = append(reads[kind], p)
			}
		}
	}
	return reads
}

func asksKubelets(kind cluster.Kind) bool { return strings.HasPrefix(string(kind), "nodes/proxy") }

// askingKubelets are the practices that ask kubelets.
func askingKubelets() string {
	var ids []string
	for _, p := range catalogue.All() {
		if slices.ContainsFunc(slices.Concat(p.Needs, p.Judges, p.Uses), asksKubelets) {
			ids = append(ids, p.ID)
		}
	}
	return strings.Join(ids, ",")
}

// setFire runs doctor once and reports whether it read the kind at all: of
// custom resources that the cluster does not serve nothing is asked.
func (c *testCluster) setFire(t *testing.T, kind cluster.Kind, practices []practice.Practice, name string, rule fault.Rule, want outcome) bool {
	t.Helper()
	proxy := fault.NewProxy(t, c.kubeconfig)
	spoilt := 0
	rule.Match = func(r *http.Request) bool { return asksFor(r, kind) }
	inner := rule.Fault
	rule.Fault = func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		spoilt++
		inner(w, r, pass)
	}
	proxy.Spoil(rule)
	var ids []string
	for _, p := range practices {
		ids = append(ids, p.ID)
	}
	start := time.Now()
	// Without kubectl in between, which costs a quarter of a cell and reads nothing.
	r := run(t, []string{"KUBECONFIG=" + proxy.Kubeconfig, "PATH=" + c.path}, c.lookUp(t, "kubectl-prod"), "doctor", "-o", "json", "--check", strings.Join(ids, ","),
		"--request-timeout", patienceWith(name), "--timeout", "12s", "--require-complete")
	if took := time.Since(start); took > fireDeadline {
		t.Errorf("%s: took %s", name, took)
	}
	if spoilt == 0 {
		return false
	}
	if strings.Contains(r.stderr, "goroutine ") {
		t.Errorf("%s: crashed\n%s", name, r.stderr)
	}
	d := &report.Diagnosis{}
	if err := json.Unmarshal([]byte(r.stdout), d); err != nil {
		// With nothing else read there is nothing to judge.
		if want == asEver || r.code != 2 || !strings.HasPrefix(r.stderr, "error: nothing could be read from ") {
			t.Errorf("%s: exit code %d, no report\n%s%s", name, r.code, r.stdout, r.stderr)
		}
		return true
	}
	if err := holds(d, r.code, kind, practices, want); err != nil {
		t.Errorf("%s: %v\nexit code %d\n%s", name, err, r.code, r.stderr)
	}
	return true
}

// holds checks a report against the expected outcome.
func holds(d *report.Diagnosis, code int, kind cluster.Kind, practices []practice.Practice, want outcome) error {
	told := slices.IndexFunc(d.NotChecked, func(n report.NotChecked) bool { return n.Subject == string(kind) })
	switch {
	case want == asEver && (told >= 0 || code == 2):
		return fmt.Errorf("%s was not overcome: %+v", kind, d.NotChecked)
	case want == asEver:
		return nil
	case told < 0:
		return fmt.Errorf("nothing is said of %s: %+v", kind, d.NotChecked)
	case want == notChecked && code != 2:
		return fmt.Errorf("exit code %d for an incomplete read", code)
	}
	for _, p := range practices {
		result := slices.IndexFunc(d.Practices, func(r report.PracticeResult) bool { return r.ID == p.ID })
		if slices.Contains(p.Needs, kind) && result >= 0 && d.Practices[result].Checked {
			return fmt.Errorf("%s was judged without %s", p.ID, kind)
		}
	}
	return nil
}

// asksFor reports whether a request reads a kind.
func asksFor(r *http.Request, kind cluster.Kind) bool {
	switch kind {
	case cluster.ServerMetrics, cluster.ServerHealth:
		return r.URL.Path == string(kind)
	}
	name, _, narrowed := strings.Cut(string(kind), "(")
	resource, group, _ := strings.Cut(name, ".")
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if parts[len(parts)-1] != resource {
		return false
	}
	if resource == "secrets" {
		return narrowed == (r.URL.Query().Get("fieldSelector") == "type=kubernetes.io/tls")
	}
	return group == "" && parts[0] == "api" || group != "" && parts[0] == "apis" && parts[1] == group
}
