//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/find"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
	"github.com/kubectl-prod/kubectl-prod/test/fault"
)

// backupFires backs up through an endpoint while the API server's part is
// spoilt: the backup is made and proven all the same, and what was not done
// beside it is told. Without an endpoint there is a refusal in one line.
func (c *testCluster) backupFires(t *testing.T, m *matrix) {
	flags := c.etcdFlags(t, "")
	record := func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/kubectl-prod-etcd-backup") || r.Method != http.MethodGet && strings.HasSuffix(r.URL.Path, "/kube-system/configmaps")
	}
	t.Run("the record", func(t *testing.T) {
		t.Parallel()
		for name, rule := range someFires("403", "429 once", "500", "no answer", "garbage", "a dropped connection") {
			rule.Match = record
			c.backupCell(t, m, "the record", name, rule, flags, warned)
		}
	})
	for _, kind := range find.Needs() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			names := []string{"403", "no answer", "garbage"}
			if kind == cluster.Pods {
				names = nil
			}
			for name, rule := range someFires(names...) {
				c.backupCell(t, m, string(kind), name, of(kind, rule), flags, asEver)
				if kind == cluster.Pods {
					c.backupRefused(t, m, name, of(kind, rule))
				}
			}
		})
	}
}

func (c *testCluster) backupCell(t *testing.T, m *matrix, what, name string, rule fault.Rule, flags []string, want outcome) {
	t.Helper()
	if overcome(name) {
		want = asEver
	}
	dir := t.TempDir()
	args := append([]string{"backup-etcd", "--to", dir, "-o", "json", "--depth", "consistency", "--request-timeout", patienceWith(name)}, flags...)
	r, fires := c.spoilt(t, rule, nil, args...)
	if fires == 0 {
		return
	}
	var b report.EtcdBackup
	err := json.Unmarshal([]byte(r.stdout), &b)
	switch {
	case err != nil || r.code != 0 || b.Proof.Verdict != report.Proven:
		t.Errorf("%s of %s: no backup: exit code %d, %v: %s", name, what, r.code, err, r.stderr)
	case want == warned && !slices.ContainsFunc(b.Warnings, func(w string) bool { return strings.Contains(w, "was not written") }):
		t.Errorf("%s of %s: it does not tell that there is no record: %v", name, what, b.Warnings)
	default:
		m.add("backup-etcd", want)
	}
}

// backupRefused asks without an endpoint: etcd's pods cannot be seen, or are not
// there, and no helper is made for a guess.
func (c *testCluster) backupRefused(t *testing.T, m *matrix, name string, rule fault.Rule) {
	t.Helper()
	dir := t.TempDir()
	r, _ := c.spoilt(t, rule, nil, "backup-etcd", "--to", dir, "--request-timeout", patienceWith(name))
	if !r.isRefusal() {
		t.Errorf("%s of pods, without an endpoint: exit code %d: %s%s", name, r.code, r.stdout, r.stderr)
		return
	}
	emptyDir(t, dir)
	m.add("backup-etcd", noAnswer)
}
