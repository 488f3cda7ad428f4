package keep

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzManifest puts any bytes beside a snapshot: they are a manifest of this
// version, or an error names the file.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		`{"apiVersion":"prod.kubectl.io/v1alpha1","kind":"EtcdBackup","name":"etcd.db","transfer":{"bytes":1}}`,
		`{"apiVersion":"v1","kind":"Pod"}`, "{", "null", "", "\x1f\x8b", `{"kind":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		const snapshot = "etcd-1-20260115T120000Z.db"
		for name, data := range map[string][]byte{snapshot: []byte("snapshot"), ManifestName(snapshot): text} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		store, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		b, err := ReadManifest(t.Context(), store, snapshot)
		if err == nil && b.Kind != "EtcdBackup" {
			t.Errorf("%q passes for a manifest", text)
		}
		if _, err := List(t.Context(), store); err != nil {
			t.Errorf("a manifest of %q keeps the snapshots from being listed: %v", text, err)
		}
	})
}
