//go:build e2e

package e2e

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// encryptedAtRest backs a cluster up whose API server encrypts its Secrets.
func encryptedAtRest(t *testing.T, c *testCluster) {
	const value = "the-sesame-of-the-shop"
	c.must(t, "create", "secret", "generic", "sesame", "--from-literal=word="+value)
	dir := t.TempDir()
	b := c.backup(t, dir, c.etcdFlags(t, "")...)
	path := filepath.Join(dir, b.Name)
	secrets := len(strings.Fields(c.must(t, "get", "secrets", "-A", "-o", "name")))
	want := report.EtcdEncryption{Provider: "aescbc", Key: "key-of-2026", Objects: secrets}
	if !slices.Equal(b.Contents.Encrypted, []report.EtcdEncryption{want}) {
		t.Errorf("encrypted are %+v, want %+v", b.Contents.Encrypted, want)
	}
	verified := c.must(t, "prod", "backup-etcd", "verify", path)
	plan := c.must(t, "prod", "backup-etcd", "restore-plan", path)
	for name, said := range map[string]string{"verify": verified, "restore-plan": plan} {
		if !strings.Contains(said, "key-of-2026") || !strings.Contains(said, "aescbc") {
			t.Errorf("%s does not name the key:\n%s", name, said)
		}
	}
	t.Logf("verify\n%s", verified)
	manifest, err := os.ReadFile(path + ".manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(filepath.Dir(c.kubeconfig), "pki", "encryption.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(string(key), "secret: ")
	secret, _, _ = strings.Cut(secret, "}")
	wide := c.must(t, "prod", "backup-etcd", "verify", path, "-o", "yaml")
	for _, said := range []string{verified, plan, wide, string(manifest)} {
		for _, never := range []string{value, base64.StdEncoding.EncodeToString([]byte(value)), secret} {
			if strings.Contains(said, never) {
				t.Errorf("a secret is shown in\n%s", strings.ReplaceAll(said, never, "(it)"))
			}
		}
	}
	d, _ := c.doctor(t, nil, "--check", "etcd-backup-lacks-keys")
	if !hasPractice(d, "etcd-backup-lacks-keys") && len(d.NotChecked) == 0 {
		t.Error("doctor does not ask where the keys are kept")
	}
}
