package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
)

func entry(step Step) Entry { return Entry{Time: time.Unix(1_700_000_000, 0).UTC(), Step: step} }

func first() Entry {
	e := entry(Intended)
	e.Cluster, e.Process, e.Practices = &Cluster{UID: "c", Server: "https://s"}, 7, []string{"pdb-missing"}
	e.Objects = []Object{{
		APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "u",
		Touches: []change.Touch{{Path: change.Set(1, "spec", "containers", change.Item("name", "web"), "replicas").Path, Before: int64(1), After: int64(2)}},
	}}
	return e
}

func TestARecordIsWhatItsLinesSay(t *testing.T) {
	j := In(filepath.Join(t.TempDir(), "made", "when", "needed"))
	if records, err := j.Records(); err != nil || len(records) != 0 {
		t.Fatalf("before anything was written: %v, %v", records, err)
	}
	if err := j.Begin("a", first()); err != nil {
		t.Fatal(err)
	}
	verified := entry(Verified)
	verified.Note = "well"
	if err := j.Add("a", verified); err != nil {
		t.Fatal(err)
	}
	r, err := j.Record("a")
	if err != nil {
		t.Fatal(err)
	}
	if r.Step != Verified || r.Note != "well" || r.Process != 7 || r.Cluster.UID != "c" || r.Practices[0] != "pdb-missing" || !r.Undoable() || r.Interrupted() {
		t.Errorf("%+v", r)
	}
	if touch := r.Objects[0].Touches[0]; touch.Before != int64(1) || change.Pathname(touch.Path) != "spec.containers[web].replicas" {
		t.Errorf("%+v", touch)
	}
	info, err := os.Stat(filepath.Join(j.Directory(), "a.jsonl"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := j.Begin("a", first()); err == nil {
		t.Error("a second change took the first one's name")
	}
}

// TestALineThatACrashCutIsAsIfItWereNotThere cuts a record at every byte.
func TestALineThatACrashCutIsAsIfItWereNotThere(t *testing.T) {
	whole := In(t.TempDir())
	if err := whole.Begin("a", first()); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(whole.Directory(), "a.jsonl"))
	if err := whole.Add("a", entry(Written)); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(filepath.Join(whole.Directory(), "a.jsonl"))
	for n := range data {
		j := In(t.TempDir())
		if err := os.WriteFile(filepath.Join(j.Directory(), "a.jsonl"), data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		records, err := j.Records()
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		switch {
		case n < len(before)-1: // the last byte is the line's end
			if len(records) != 0 {
				t.Fatalf("cut at %d: a record of half a line: %+v", n, records[0])
			}
			continue
		case n < len(data)-1 && records[0].Step != Intended, n == len(data)-1 && records[0].Step != Written:
			t.Fatalf("cut at %d: step %s", n, records[0].Step)
		}
		// What comes next is not lost in the cut line.
		if err := j.Add("a", entry(Undone)); err != nil {
			t.Fatal(err)
		}
		if r, err := j.Record("a"); err != nil || r.Step != Undone {
			t.Fatalf("cut at %d, and gone on: %+v, %v", n, r, err)
		}
	}
}

func TestRecordsAreInTheOrderOfTheirBeginnings(t *testing.T) {
	j := In(t.TempDir())
	for i, id := range []string{"c", "a", "b"} {
		e := first()
		e.Time = e.Time.Add(time.Duration(i) * time.Second)
		if err := j.Begin(id, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(j.Directory(), "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	records, err := j.Records()
	var ids []string
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	if err != nil || strings.Join(ids, " ") != "c a b" {
		t.Errorf("%v, %v", ids, err)
	}
}

func TestAnUnknownChangeIsToldSo(t *testing.T) {
	j := In(t.TempDir())
	for _, id := range []string{"", "gone", "../a", "/etc/passwd"} {
		if _, err := j.Record(id); err == nil || !strings.Contains(err.Error(), "harden history lists them") {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestTheStateDirectoryIsXDGs(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	if j, err := Open(); err != nil || j.Directory() != filepath.Join(state, "kubectl-prod", "harden") {
		t.Errorf("%v, %v", j, err)
	}
	t.Setenv("XDG_STATE_HOME", "relative/is/ignored")
	t.Setenv("HOME", state)
	if j, err := Open(); err != nil || j.Directory() != filepath.Join(state, ".local", "state", "kubectl-prod", "harden") {
		t.Errorf("%v, %v", j, err)
	}
}
