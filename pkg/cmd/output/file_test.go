package output

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func TestAFileIsWrittenWholeAndReadableByAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	for _, want := range []string{"a long first report", "second"} {
		if err := writeWhole(path, text(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("holds %q (%v), want %q", got, err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v (%v), want 0644", info.Mode(), err)
	}
}

func TestAFileThatCannotBeWrittenWholeStaysAsItWas(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report")
	if err := writeWhole(path, text("before")); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no more")
	err := writeWhole(path, func(w io.Writer) error { return errors.Join(text("half")(w), failure) })
	if !errors.Is(err, failure) {
		t.Errorf("error is %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "before" {
		t.Errorf("holds %q", got)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestALinkLeadsToTheNewFile(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(target, nil, 0o600), os.Symlink(target, link), writeWhole(link, text("new"))); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "new" {
		t.Errorf("the target holds %q", got)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v (%v)", info.Mode(), err)
	}
}

func TestWhatCannotBecomeAFileIsToldBeforeTheClusterIsRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, fine := range map[string]bool{
		file: true, filepath.Join(dir, "new"): true,
		dir: false, os.DevNull: false, filepath.Join(dir, "none", "new"): false, filepath.Join(file, "new"): false,
	} {
		if err := writable(path); (err == nil) != fine {
			t.Errorf("%s: %v", path, err)
		}
	}
}
