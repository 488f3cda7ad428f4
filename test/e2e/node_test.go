//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func errNotYet(what any) error { return fmt.Errorf("not yet: %+v", what) }

// TestRealNode diagnoses the shop where its containers really run: a kubelet,
// containerd, etcd as a static pod.
func TestRealNode(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("a real node needs root on Linux, and CI must have it")
		}
		t.Skip("a real node needs root on Linux")
	}
	c := up(t, "e2e-node", "--node", "--nodes", "0")
	t.Parallel() // once its programs are built: from here on it mostly waits for pods
	shop, err := filepath.Abs(filepath.Join(root, "examples", "shop"))
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, "apply", "-f", shop)
	var crash report.Finding
	eventually(t, 4*time.Minute, func() error {
		d, _ := c.doctor(t, nil, "--check", "restart-loop")
		for _, f := range d.Findings {
			if f.Object.String() == "deployment.apps/payments" {
				crash = f
				return nil
			}
		}
		return errNotYet(c.must(t, "get", "pods", "-A"))
	})
	if !strings.Contains(crash.Message, "exit code 3") {
		t.Errorf("the crashing container's exit code is not told: %s", crash.Message)
	}
	d, _ := c.doctor(t, nil)
	if !has(d, "run-as-root", "deployment.apps/frontend") {
		t.Errorf("run-as-root was not found on frontend")
	}
	if !has(d, "etcd-backup-missing", "pod/etcd-"+strings.TrimSpace(c.must(t, "get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"))) &&
		!hasPractice(d, "etcd-backup-missing") {
		t.Errorf("etcd-backup-missing was not found: %+v", d.NotChecked)
	}
	t.Logf("kubectl prod doctor\n%s", c.kubectl(t, nil, "prod", "doctor").stdout)
	t.Run("backup-etcd", func(t *testing.T) { backupFromNode(t, c, "e2e-node") })
	t.Run("harden rolls back what a kubelet shows to be wrong", func(t *testing.T) { brokenByHarden(t, c) })
	t.Run("harden mends the shop while it answers", func(t *testing.T) { hardenWhileServing(t, c) })
	t.Run("the systems around the shop are seen", func(t *testing.T) { systemsAround(t, c) })
}

// systemsAround puts Velero's, Argo CD's and Prometheus' own objects around the
// shop, sick ones, and holds doctor to them.
func systemsAround(t *testing.T, c *testCluster) {
	a := newApplier(t, c)
	for _, m := range modules() {
		if strings.Contains(m.path, "velero") || strings.Contains(m.path, "argo-cd") || strings.Contains(m.path, "prometheus-operator") {
			a.definitions(t, filepath.Join(m.download(t), m.definitions))
		}
	}
	a.established(t, schema.GroupKind{Group: "velero.io", Kind: "Backup"})
	a.applyFile(t, filepath.Join("testdata", "systems", "around.yaml"))
	eventually(t, time.Minute, func() error {
		d, r := c.doctor(t, nil)
		for _, want := range told(t, filepath.Join("testdata", "systems", "around.yaml"), "is") {
			practice, object, _ := strings.Cut(want, " ")
			if !has(d, practice, object) {
				return fmt.Errorf("%s is not found on %s (exit code %d)", practice, object, r.code)
			}
		}
		return nil
	})
	t.Logf("kubectl prod doctor systems\n%s", c.must(t, "prod", "doctor", "systems"))
}

func hasPractice(d *report.Diagnosis, practice string) bool {
	for _, f := range d.Findings {
		if f.Practice == practice {
			return true
		}
	}
	return false
}
