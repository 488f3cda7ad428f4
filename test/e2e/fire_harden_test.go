//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
	"github.com/kubectl-prod/kubectl-prod/test/fault"
)

// hardenPlans plans while one read is spoilt: what is proposed is no more than
// with all read, and what could not be read is told.
func (c *testCluster) hardenPlans(t *testing.T, m *matrix) {
	for kind, practices := range readsOfHarden() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			args := []string{"harden", "-n", "shop", "-o", "json", "--fix", strings.Join(practices, ",")}
			before := &report.Hardening{}
			if r := run(t, []string{"KUBECONFIG=" + c.kubeconfig, "PATH=" + c.path}, c.lookUp(t, "kubectl-prod"), append(args, "--dry-run=client")...); json.Unmarshal([]byte(r.stdout), before) != nil {
				t.Fatalf("exit code %d: %s", r.code, r.stderr)
			}
			for dryRun, names := range map[string][]string{"client": {"403", "404", "500", "no answer", "garbage", "cut at the tenth byte"}, "server": {"429 once", "a portal's page"}} {
				for name, rule := range someFires(names...) {
					r, hits := c.spoilt(t, of(kind, rule), nil, append(slices.Clone(args), "--dry-run="+dryRun, "--request-timeout", patienceWith(name))...)
					if hits == 0 {
						continue
					}
					want := fires()[name].want
					if err := planHolds(r, kind, before, want); err != nil {
						t.Errorf("--dry-run=%s, %s of %s: %v\nexit code %d\n%s", dryRun, name, kind, err, r.code, r.stderr)
						continue
					}
					m.add("harden --dry-run", want)
				}
			}
		})
	}
}

// readsOfHarden are the kinds that harden reads, each with a few practices for
// which it does.
func readsOfHarden() map[cluster.Kind][]string {
	reads := map[cluster.Kind][]string{}
	for _, p := range harden.Remediable(catalogue.All()) {
		for _, kind := range harden.Needs([]practice.Practice{p}, practice.Scope{}) {
			if len(reads[kind]) < 3 && !asksKubelets(kind) {
				reads[kind] = append(reads[kind], p.ID)
			}
		}
	}
	return reads
}

// planHolds checks a plan against the expected outcome. before is the plan
// without a fault.
func planHolds(r result, kind cluster.Kind, before *report.Hardening, want outcome) error {
	plan := &report.Hardening{}
	if err := json.Unmarshal([]byte(r.stdout), plan); err != nil {
		if want != asEver && r.isRefusal() {
			return nil // with nothing else read there is nothing to plan
		}
		return fmt.Errorf("no plan: %w", err)
	}
	proposed := func(h *report.Hardening) map[string]bool {
		all := map[string]bool{}
		for _, c := range h.Changes {
			all[c.Practice+" "+c.Object.Namespace+"/"+c.Object.String()] = c.State == report.Proposed
		}
		return all
	}
	was, is := proposed(before), proposed(plan)
	told := slices.ContainsFunc(plan.NotChecked, func(n report.NotChecked) bool { return n.Subject == string(kind) })
	withheld := len(plan.Unsafe) > len(before.Unsafe) // refused, with the reason
	for change := range is {
		if _, ok := was[change]; !ok {
			return fmt.Errorf("it proposes %s, which it would not with all read", change)
		}
	}
	switch {
	case want == asEver && (len(is) != len(was) || told):
		return fmt.Errorf("it was not overcome: %d changes instead of %d, %+v", len(is), len(was), plan.NotChecked)
	case want == notChecked && len(is) < len(was) && !told && !withheld:
		return fmt.Errorf("%d changes instead of %d, and nothing is told: %+v", len(is), len(was), plan.NotChecked)
	}
	return nil
}

// hardenWrites writes while one request of the write is spoilt. Whatever is told,
// the journal knows what was written, and undo takes it back.
func (c *testCluster) hardenWrites(t *testing.T, m *matrix) {
	for role, match := range rolesOfWrites() {
		for name, rule := range writeFires() {
			if role != "the write" && role != "the new object" && !slices.Contains([]string{"403", "no answer", "a dropped connection", "garbage"}, name) {
				continue
			}
			rule.Match = match
			t.Run(role+": "+name, func(t *testing.T) {
				t.Parallel()
				c.hardenWrite(t, m, rule, name)
			})
		}
	}
}

// rolesOfWrites are the requests on the way of a write.
func rolesOfWrites() map[string]func(*http.Request) bool {
	dry := func(r *http.Request) bool { return r.URL.Query().Has("dryRun") }
	return map[string]func(*http.Request) bool{
		"who the cluster is": func(r *http.Request) bool {
			return r.Method == http.MethodGet && r.URL.Path == "/api/v1/namespaces/kube-system"
		},
		"what the user may": func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews") },
		"the fresh object": func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/api/v1/namespaces/write-")
		},
		"the trial": func(r *http.Request) bool {
			return (r.Method == http.MethodPatch || r.Method == http.MethodPost) && dry(r)
		},
		"the write": func(r *http.Request) bool { return r.Method == http.MethodPatch && !dry(r) },
		"the new object": func(r *http.Request) bool {
			return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/poddisruptionbudgets") && !dry(r)
		},
	}
}

// writeFires are what may happen to the requests of a write: all that happens to
// a read, and that the server did it and its answer is lost.
func writeFires() map[string]fault.Rule {
	rules := someFires("403", "429 once", "500", "503 once", "no answer", "cut at the tenth byte", "garbage", "a portal's page", "a dropped connection")
	rules["404"] = fault.Rule{Times: 1, Fault: fault.Status(404, metav1.StatusReasonNotFound, 0)}
	rules["done but no answer"] = fault.Rule{Times: 1, Fault: fault.Lose(fault.Hang())}
	rules["done but a dropped connection"] = fault.Rule{Times: 1, Fault: fault.Lose(fault.Drop())}
	rules["done but a 500"] = fault.Rule{Times: 1, Fault: fault.Lose(fault.Status(500, metav1.StatusReasonInternalError, 0))}
	// A server that never answers again is waited for for a minute.
	rules["no answer"] = fault.Rule{Times: 2, Fault: fault.Hang()}
	return rules
}

// writeDeadline is for a write, which waits for a server that comes back.
const writeDeadline = 45 * time.Second

// hardenWrite has one namespace hardened while a request is spoilt.
func (c *testCluster) hardenWrite(t *testing.T, m *matrix, rule fault.Rule, name string) {
	h := &hardened{testCluster: c, state: t.TempDir()}
	namespace := "write-" + fmt.Sprint(strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, t.Name()[strings.LastIndex(t.Name(), "/")+1:])))
	namespace = strings.Trim(namespace[:min(len(namespace), 60)], "-")
	file := filepath.Join(t.TempDir(), "victim.yaml")
	writeFile(t, file, fmt.Sprintf(victimManifest, namespace))
	c.must(t, "apply", "-f", file)
	eventually(t, time.Minute, c.podsReady(t, namespace))
	state := func() string {
		return c.must(t, "get", "namespace", namespace, "-o", "jsonpath={.metadata.labels}") + c.must(t, "get", "poddisruptionbudgets", "-n", namespace, "-o", "name")
	}
	before := state()
	env := []string{"XDG_STATE_HOME=" + h.state}
	fix := []string{"harden", "-n", namespace, "--fix", "pod-security-label-unset,pdb-missing", "--yes", "--soak", "0s", "--timeout", "10s", "-o", "json", "--request-timeout", patienceWith(name)}
	r, fires := c.spoiltFor(t, writeDeadline, rule, env, fix...)
	if fires == 0 {
		t.Fatalf("nothing was spoilt: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	after, open := state(), len(h.records(t, "intended", "written", "verified", "undoing", "stuck", "unwatched"))
	if after != before && open == 0 {
		t.Errorf("it wrote what the journal does not know: %s\nwas %s\nexit code %d: %s", after, before, r.code, r.stderr)
	}
	if r.code == 0 && after == before {
		t.Errorf("exit code 0, and nothing was written: %s%s", r.stdout, r.stderr)
	}
	// The next run finishes what this one left open, and undo takes back all.
	h.harden(t, "-n", namespace, "--fix", "pdb-unhealthy-policy", "--yes", "--soak", "0s")
	if left := h.records(t, "intended", "written", "undoing", "stuck"); len(left) > 0 {
		t.Errorf("after the next run the journal has it open: %+v", left)
	}
	undone := h.harden(t, "undo", "--all")
	if now := state(); now != before || undone.code != 0 && len(h.records(t, "verified")) > 0 {
		t.Errorf("after undo (exit code %d: %s) it is\n%s\nand was\n%s\nexit code %d: %s", undone.code, undone.stderr, now, before, r.code, r.stderr)
	}
	if !t.Failed() {
		m.add("harden --yes", accounted)
	}
}

// records are the changes of the journal that are in one of some states.
func (h *hardened) records(t *testing.T, states ...string) []report.HardenRecord {
	t.Helper()
	history := &report.HardenHistory{}
	if r := h.harden(t, "history", "-o", "json"); json.Unmarshal([]byte(r.stdout), history) != nil {
		t.Fatalf("no history: %s%s", r.stdout, r.stderr)
	}
	return slices.DeleteFunc(history.Items, func(r report.HardenRecord) bool { return !slices.Contains(states, r.State) })
}
