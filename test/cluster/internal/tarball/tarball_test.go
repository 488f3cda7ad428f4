package tarball

import (
	"archive/tar"
	"os"
	"path/filepath"
	"testing"
)

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenIsExtracted(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	put(t, filepath.Join(from, "settings.json"), "{}")
	put(t, filepath.Join(from, "pki", "etcd", "ca.crt"), "certificate")
	put(t, filepath.Join(from, "pids", "etcd.json"), "not to be saved")
	file := filepath.Join(t.TempDir(), "saved.tar")

	if err := Write(file, from, []string{"settings.json", "pki"}); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadFirst(file, "settings.json"); err != nil || string(data) != "{}" {
		t.Errorf("first entry: %q, %v", data, err)
	}
	if err := Extract(file, to, []string{"pki"}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(to, "pki", "etcd", "ca.crt")); err != nil || string(data) != "certificate" {
		t.Errorf("extracted %q, %v", data, err)
	}
	for _, absent := range []string{"settings.json", "pids"} {
		if _, err := os.Stat(filepath.Join(to, absent)); err == nil {
			t.Errorf("%s should not be extracted", absent)
		}
	}
}

func TestAFailedWriteLeavesNoArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "saved.tar")
	if err := Write(file, t.TempDir(), []string{"absent"}); err == nil {
		t.Error("packing what is not there should fail")
	}
	for _, path := range []string{file, file + ".part"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", filepath.Base(path))
		}
	}
}

func TestAnEntryThatLeadsOutOfTheTargetIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "evil.tar")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(out)
	_ = archive.WriteHeader(&tar.Header{Name: "pki/../../escaped", Size: 1, Mode: 0o600})
	_, _ = archive.Write([]byte("x"))
	_ = archive.Close()
	_ = out.Close()
	if err := Extract(file, t.TempDir(), []string{"pki"}); err == nil {
		t.Error("the entry should be refused")
	}
}
