package build

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryGroupIsLockedToAVersion(t *testing.T) {
	for _, group := range Groups() {
		version, err := group.Version()
		if err != nil {
			t.Error(err)
		}
		if !regexp.MustCompile(`^v\d+\.\d+\.\d+$`).MatchString(version) {
			t.Errorf("%s is locked to %q, not to a release", group.Name, version)
		}
	}
}

func TestEveryProgramIsAToolOfItsLock(t *testing.T) {
	for _, group := range Groups() {
		l, err := group.lock()
		if err != nil {
			t.Fatal(err)
		}
		for _, program := range group.Programs {
			// Tools count as imports, so that their sums are in the lock.
			if !strings.Contains(string(l.mod), program.Package) {
				t.Errorf("%s is not a tool in %s.mod", program.Package, group.Name)
			}
		}
	}
}

func TestKubernetesIsToldItsVersion(t *testing.T) {
	flags := kubernetes().ldflags("v1.37.2")
	for _, want := range []string{
		"k8s.io/component-base/version.gitVersion=v1.37.2",
		"k8s.io/client-go/pkg/version.gitVersion=v1.37.2",
		"k8s.io/component-base/version.gitMinor=37",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("%s is missing in %s", want, flags)
		}
	}
}

func TestTheKeyChangesWithWhatIsBuilt(t *testing.T) {
	group := etcd()
	l, err := group.lock()
	if err != nil {
		t.Fatal(err)
	}
	changed := l
	changed.sum = append([]byte("example.com v1.0.0 h1:x=\n"), l.sum...)
	if group.key(l) == group.key(changed) {
		t.Error("other checksums should give another key")
	}
	tagged := group
	tagged.Tags = "other"
	if group.key(l) == tagged.key(l) {
		t.Error("other tags should give another key")
	}
}

func TestACachedProgramIsNotBuilt(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no go command: building would fail
	cache := Cache{Dir: t.TempDir(), Progress: io.Discard}
	jobs, err := cache.jobs(false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cache.Ensure(context.Background(), false); err == nil {
		t.Fatal("an empty cache without go should fail")
	}
	for _, j := range jobs {
		if err := os.MkdirAll(filepath.Dir(j.target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(j.target, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := cache.Ensure(context.Background(), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != 9 {
		t.Errorf("%d programs, want 9", len(paths))
	}
}
