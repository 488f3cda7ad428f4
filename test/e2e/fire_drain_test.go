//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/drain"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// drainFires asks about the drain of a node that breaks a Service, is blocked by
// a budget, or holds a volume, and about all nodes, while one read is spoilt.
func (c *testCluster) drainFires(t *testing.T, m *matrix) {
	kinds := slices.Clone(drain.Needs())
	slices.Sort(kinds)
	volumes := c.nodeWithVolume(t)
	for _, kind := range slices.Compact(kinds) {
		args := []string{"worker-c1", "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--disable-eviction"}
		names := []string{"403", "404", "429 once", "no answer", "garbage"}
		switch {
		case kind == cluster.Budgets:
			args, names = args[:4], nil
		case kind == cluster.Pods, kind == cluster.Services:
			names = nil
		case slices.Contains(drainsVolumes(), kind):
			args[0] = volumes
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			c.drainCells(t, m, "drain-check", kind, names, args)
			c.drainCells(t, m, "drain-check --plan", kind, []string{"403", "404", "cut at the tenth byte", "503 once"}, []string{"--all", "--plan", "--force", "--ignore-daemonsets", "--delete-emptydir-data"})
		})
	}
}

func drainsVolumes() []cluster.Kind {
	return []cluster.Kind{cluster.Claims, cluster.Volumes, cluster.StorageClasses, cluster.CSINodes}
}

// nodeWithVolume is a node with a pod that has a volume.
func (c *testCluster) nodeWithVolume(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(c.must(t, "get", "pods", "-A", "-o", `jsonpath={range .items[*]}{.spec.nodeName} {.spec.volumes[*].persistentVolumeClaim.claimName}{"\n"}{end}`)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			return fields[0]
		}
	}
	t.Fatal("no pod has a volume")
	return ""
}

func (c *testCluster) drainCells(t *testing.T, m *matrix, verb string, kind cluster.Kind, names, args []string) {
	t.Helper()
	args = append([]string{"drain-check", "-o", "json"}, args...)
	before := &report.DrainCheck{}
	if r := run(t, []string{"KUBECONFIG=" + c.kubeconfig, "PATH=" + c.path}, c.lookUp(t, "kubectl-prod"), args...); json.Unmarshal([]byte(r.stdout), before) != nil {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	for name, rule := range someFires(names...) {
		r, fires := c.spoilt(t, of(kind, rule), nil, append(slices.Clone(args), "--request-timeout", patienceWith(name))...)
		if fires == 0 {
			continue // only asked for where there is something of the kind
		}
		want := drainOutcome(verb, kind, name)
		if err := drainHolds(r, kind, before, want); err != nil {
			t.Errorf("%s, %s of %s: %v\nexit code %d\n%s", verb, name, kind, err, r.code, r.stderr)
			continue
		}
		m.add(verb, want)
	}
}

// drainOutcome is how a cell has to end.
func drainOutcome(verb string, kind cluster.Kind, name string) outcome {
	switch {
	case overcome(name):
		return asEver
	case kind == cluster.Nodes:
		return noAnswer
	case kind == cluster.Services && verb == "drain-check --plan":
		return without // the order of nodes rests on budgets and room
	case slices.Contains([]cluster.Kind{cluster.Pods, cluster.Budgets, cluster.Services}, kind):
		return unknown // also of a 404: every server has them
	case name == "404":
		return absent
	case slices.Contains(drainsVolumes(), kind):
		return unknown
	}
	return without
}

// drainHolds checks an answer against the expected outcome. before is the answer
// without a fault.
func drainHolds(r result, kind cluster.Kind, before *report.DrainCheck, want outcome) error {
	if want == noAnswer {
		if !r.isRefusal() {
			return fmt.Errorf("it answers %.200s", r.stdout)
		}
		return nil
	}
	check := &report.DrainCheck{}
	if err := json.Unmarshal([]byte(r.stdout), check); err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	told := slices.IndexFunc(check.Unknowns, func(u report.DrainUnknown) bool { return u.Subject == string(kind) })
	better := drainRank(check.Verdict) < drainRank(before.Verdict)
	switch {
	case want == asEver && (check.Verdict != before.Verdict || told >= 0):
		return fmt.Errorf("it was not overcome: %s, %+v", check.Verdict, check.Unknowns)
	case want == asEver:
		return nil
	case better:
		return fmt.Errorf("the verdict is %s, and %s with all read", check.Verdict, before.Verdict)
	case want != absent && told < 0:
		return fmt.Errorf("it is not told: %+v", check.Unknowns)
	case want == unknown && (!check.Unknowns[told].Decides || check.Verdict != report.VerdictUnknown && check.Verdict != report.VerdictBlocked):
		return fmt.Errorf("the verdict is %s (%s), %+v", check.Verdict, check.Summary, check.Unknowns[told])
	}
	return nil
}

func drainRank(v report.DrainVerdict) int {
	return slices.Index([]report.DrainVerdict{report.VerdictSafe, report.VerdictBreaks, report.VerdictBlocked, report.VerdictUnknown}, v)
}
