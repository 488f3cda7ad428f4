//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/incident"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
	"github.com/kubectl-prod/kubectl-prod/test/fault"
)

// nowFires sets fire to what the incident screen reads: a screen without events
// must not look calm when they could not be read.
func (c *testCluster) nowFires(t *testing.T, m *matrix) {
	for _, kind := range incident.Needs() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			for name, rule := range someFires("403", "no answer", "garbage", "429 once") {
				r, fires := c.spoilt(t, of(kind, rule), nil, "doctor", "--now", "-o", "json", "--request-timeout", patienceWith(name), "--timeout", "12s", "--require-complete")
				if fires == 0 {
					continue
				}
				d, want := &report.Diagnosis{}, notChecked
				if overcome(name) {
					want = asEver
				}
				err := json.Unmarshal([]byte(r.stdout), d)
				if err == nil {
					d.NotChecked = slices.DeleteFunc(d.NotChecked, func(n report.NotChecked) bool { return asksKubelets(cluster.Kind(n.Subject)) })
					code := r.code
					if want == asEver {
						code = 0 // simulated kubelets are a gap of their own
					}
					err = holds(d, code, kind, nil, want)
				}
				if err != nil {
					t.Errorf("%s: %v\nexit code %d\n%s", name, err, r.code, r.stderr)
					continue
				}
				m.add("doctor --now", want)
			}
		})
	}
}

// midRun has the server change while each command reads: it restarts, comes back
// with another certificate, tells of APIs that are no longer, or not yet, there.
// A command that answers does so with no less than it had to tell, or says so.
func (c *testCluster) midRun(t *testing.T, m *matrix) {
	for verb, command := range c.commands(t) {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			for event, happen := range events() {
				if verb == "harden --dry-run" && event == "its clock is ahead" {
					continue // by that clock its pods have run long enough to be measured
				}
				for _, after := range []int{2, 9} {
					if after > 2 && strings.HasPrefix(event, "its clock") || after > 2 && strings.HasPrefix(event, "its disc") {
						continue // these are so from the start
					}
					proxy := fault.NewTLSProxy(t, c.kubeconfig)
					happen(proxy, after)
					start := time.Now()
					r := run(t, []string{"KUBECONFIG=" + proxy.Kubeconfig, "PATH=" + c.path}, c.lookUp(t, "kubectl-prod"), append(slices.Clone(command.args), "--request-timeout", "5s")...)
					if took := time.Since(start); took > 2*fireDeadline || strings.Contains(r.stderr, "goroutine ") {
						t.Errorf("%s: took %s\n%s", event, took, r.stderr)
					}
					o := noAnswer
					if !strings.HasPrefix(r.stderr, "error: ") || r.code != 2 || r.stdout != "" {
						if err := command.holds(r); err != nil {
							t.Errorf("%s after %d requests: %v\nexit code %d: %s", event, after, err, r.code, r.stderr)
							continue
						}
						o = "answered, or told as not checked"
					}
					m.add(strings.Fields(verb)[0]+", the server changes", o)
				}
			}
		})
	}
}

// events are what may happen to a server after so many requests.
func events() map[string]func(p *fault.Proxy, after int) {
	then := func(p *fault.Proxy, after int, happen func()) {
		p.Spoil(fault.Rule{Skip: after, Times: 1, Fault: func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			happen()
			pass.ServeHTTP(w, r)
		}})
	}
	return map[string]func(*fault.Proxy, int){
		"it restarts": func(p *fault.Proxy, after int) {
			then(p, after, func() {
				p.Stop()
				time.AfterFunc(500*time.Millisecond, p.Start)
			})
		},
		"it goes down":        func(p *fault.Proxy, after int) { then(p, after, p.Stop) },
		"its certificate":     func(p *fault.Proxy, after int) { then(p, after, p.Renew) },
		"its clock is ahead":  func(p *fault.Proxy, _ int) { p.Spoil(fault.Rule{Fault: fault.Clock(48 * time.Hour)}) },
		"its clock is behind": func(p *fault.Proxy, _ int) { p.Spoil(fault.Rule{Fault: fault.Clock(-365 * 24 * time.Hour)}) },
		"its discovery is old": func(p *fault.Proxy, _ int) {
			p.Spoil(fault.Rule{
				Match: func(r *http.Request) bool { return r.URL.Path == "/apis" },
				Fault: fault.Stale("policy", "monitoring.coreos.com", "v1", "prometheusrules"),
			})
		},
	}
}

// errand is a command, and what an answer of it has to hold.
type errand struct {
	args  []string
	holds func(result) error
}

func (c *testCluster) commands(t *testing.T) map[string]errand {
	t.Helper()
	whole := func(r result) error { // complete, or said not to be
		d := &report.Diagnosis{}
		if err := json.Unmarshal([]byte(r.stdout), d); err != nil {
			return err
		}
		if r.code == 0 && incompleteRead(d) || r.code != 0 && r.code != 2 {
			return fmt.Errorf("exit code %d: %+v", r.code, d.NotChecked)
		}
		return nil
	}
	drainArgs := []string{"drain-check", "worker-c1", "--force", "--ignore-daemonsets", "--delete-emptydir-data", "-o", "json"}
	planArgs := []string{"drain-check", "--all", "--plan", "--force", "--ignore-daemonsets", "--delete-emptydir-data", "-o", "json"}
	hardenArgs := []string{"harden", "-n", "shop", "--fix", "pdb-missing,service-account-default", "--dry-run=server", "-o", "json"}
	backupArgs := append([]string{"backup-etcd", "--to", t.TempDir(), "--depth", "consistency", "-o", "json"}, c.etcdFlags(t, "")...)
	plan := &report.Hardening{}
	c.into(t, plan, hardenArgs)
	return map[string]errand{
		"doctor":             {[]string{"doctor", "-o", "json", "--skip", askingKubelets(), "--timeout", "12s", "--require-complete", "--fail-on", "none"}, whole},
		"doctor --now":       {[]string{"doctor", "--now", "-o", "json", "--skip", askingKubelets(), "--timeout", "12s", "--require-complete", "--fail-on", "none"}, whole},
		"drain-check":        {drainArgs, c.notBetter(t, drainArgs)},
		"drain-check --plan": {planArgs, c.notBetter(t, planArgs)},
		"harden --dry-run": {hardenArgs, func(r result) error {
			return planHolds(r, "the server", plan, absent)
		}},
		"backup-etcd": {backupArgs, func(r result) error {
			var b report.EtcdBackup
			if err := json.Unmarshal([]byte(r.stdout), &b); err != nil || b.Proof.Verdict != report.Proven {
				return errors.Join(err, errors.New("it is not proven"))
			}
			return nil
		}},
	}
}

func incompleteRead(d *report.Diagnosis) bool {
	return slices.ContainsFunc(d.NotChecked, func(n report.NotChecked) bool { return n.State == "failed" || n.State == "forbidden" })
}

// into reads what a command answers with nothing in its way.
func (c *testCluster) into(t *testing.T, answer any, args []string) {
	t.Helper()
	r := run(t, []string{"KUBECONFIG=" + c.kubeconfig, "PATH=" + c.path}, c.lookUp(t, "kubectl-prod"), args...)
	if err := json.Unmarshal([]byte(r.stdout), answer); err != nil {
		t.Fatalf("exit code %d, %v: %s", r.code, err, r.stderr)
	}
}

// notBetter holds that a verdict is no better than it is with nothing in the way.
func (c *testCluster) notBetter(t *testing.T, args []string) func(result) error {
	t.Helper()
	before := &report.DrainCheck{}
	c.into(t, before, args)
	return func(r result) error {
		check := &report.DrainCheck{}
		if err := json.Unmarshal([]byte(r.stdout), check); err != nil {
			return err
		}
		if drainRank(check.Verdict) < drainRank(before.Verdict) {
			return fmt.Errorf("the verdict is %s, and %s with nothing in the way", check.Verdict, before.Verdict)
		}
		return nil
	}
}
