package state

import (
	"path/filepath"
	"reflect"
	"testing"
)

func open(t *testing.T, name string) Dir {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSettingsAreReadAsTheyWereSaved(t *testing.T) {
	dir := open(t, "prod")
	if _, exists, err := dir.Load(); exists || err != nil {
		t.Fatalf("a cluster that was never made: exists=%v err=%v", exists, err)
	}
	if err := dir.Make(); err != nil {
		t.Fatal(err)
	}
	want := Settings{Nodes: 6, Fast: true, Ports: map[string]int{"etcd": 20001}}
	if err := dir.Save(want); err != nil {
		t.Fatal(err)
	}
	got, exists, err := dir.Load()
	if err != nil || !exists || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, %v; want %+v", got, exists, err, want)
	}
	if err := dir.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, exists, _ := dir.Load(); exists {
		t.Error("the settings outlived the directory")
	}
}

func TestTheLockOutlivesTheDirectory(t *testing.T) {
	dir := open(t, "prod")
	if filepath.Dir(dir.LockFile()) == dir.Path {
		t.Error("removing the state directory would remove the lock")
	}
}

func TestTheContextIsTheNameExceptForTheDefault(t *testing.T) {
	for name, want := range map[string]string{"prod": "prod-demo", "other": "other"} {
		if got := open(t, name).Context(); got != want {
			t.Errorf("context of %s is %s, want %s", name, got, want)
		}
	}
}

func TestNamesThatCouldLeaveTheDirectoryAreRefused(t *testing.T) {
	for _, name := range []string{"", "..", "a/b", "Prod", "-x", "x-"} {
		if _, err := Open(name); err == nil {
			t.Errorf("%q should be refused", name)
		}
	}
}
