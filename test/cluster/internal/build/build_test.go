package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryGroupIsLockedToAVersion(t *testing.T) {
	for _, group := range everyGroup(t) {
		version, err := group.Version()
		if err != nil {
			t.Error(err)
		}
		if !regexp.MustCompile(`^v\d+\.\d+\.\d+$`).MatchString(version) {
			t.Errorf("%s is locked to %q, not to a release", group.Name, version)
		}
	}
}

func everyGroup(t *testing.T) []Group {
	t.Helper()
	var all []Group
	for _, minor := range []string{"", Oldest} {
		groups, err := Selection{Kubernetes: minor}.Groups()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, groups...)
	}
	return append(all, Aside()...)
}

func TestAMinorThatIsNotPinnedIsRefusedWithThoseThatAre(t *testing.T) {
	_, err := Selection{Kubernetes: "1.12"}.Groups()
	if err == nil || !strings.Contains(err.Error(), Oldest) {
		t.Errorf("got %v", err)
	}
}

func TestTheOldestIsThreeMinorsBehindTheNewest(t *testing.T) {
	minors := map[string]int{}
	for _, selected := range []string{"", Oldest} {
		version, err := Selection{Kubernetes: selected}.KubernetesVersion()
		if err != nil {
			t.Fatal(err)
		}
		var minor int
		if _, err := fmt.Sscanf(version, "v1.%d.", &minor); err != nil {
			t.Fatal(err)
		}
		minors[selected] = minor
	}
	if minors[""]-minors[Oldest] != 3 {
		t.Errorf("got %v", minors)
	}
}

func TestEveryProgramIsAToolOfItsLock(t *testing.T) {
	for _, group := range everyGroup(t) {
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
	flags := newest().ldflags("v1.37.2")
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
	jobs, err := cache.jobs(Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cache.Ensure(context.Background(), Selection{}); err == nil {
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
	paths, err := cache.Ensure(context.Background(), Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != 9 {
		t.Errorf("%d programs, want 9", len(paths))
	}
}
