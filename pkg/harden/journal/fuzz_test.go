package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
)

// FuzzRecord puts any bytes where a record was: what is read of them names its
// cluster and its objects, can be held against a live object, and takes another
// entry.
func FuzzRecord(f *testing.F) {
	whole := `{"time":"2026-01-15T12:00:00Z","step":"intended","cluster":{"uid":"u","server":"s"},"objects":[{"apiVersion":"apps/v1","kind":"Deployment","namespace":"shop","name":"cart","uid":"1","touches":[{"path":["f:spec","f:replicas"],"before":1,"after":2}]}]}` + "\n"
	for _, seed := range []string{
		whole, whole + `{"step":"written"}` + "\n", whole + whole[:40], whole[:len(whole)/2], "\x00\xff\n{}", "null\n[]\n1\n",
		`{"step":"intended","cluster":{"uid":"u"},"objects":[{"touches":[{"path":["k:{\"name\":1}","i:-1","v:null"]}]}]}`,
		`{"step":"intended","cluster":{"uid":"u"},"objects":[{"created":{"metadata":1,"spec":{"a":[null]}}}]}`,
	} {
		f.Add([]byte(seed))
	}
	now := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "cart", "namespace": "shop", "uid": "1"}, "spec": map[string]any{"replicas": int64(2)},
	}}
	f.Fuzz(func(t *testing.T, record []byte) {
		dir := t.TempDir()
		const id = "20260115-120000-abcd"
		if err := os.WriteFile(filepath.Join(dir, id+suffix), record, 0o600); err != nil {
			t.Fatal(err)
		}
		j := In(dir)
		read, err := j.Record(id)
		if err != nil {
			return // told, and left as it is
		}
		if read.Cluster.UID == "" || len(read.Objects) == 0 {
			t.Fatalf("a record of nothing: %+v", read)
		}
		for i := range read.Objects {
			read.Objects[i].Standing(now)
			read.Objects[i].Standing(nil)
			for _, touch := range read.Objects[i].Touches {
				if _, err := change.Touch.MarshalJSON(touch); err != nil {
					t.Errorf("a touch that cannot be written again: %v", err)
				}
			}
		}
		if err := j.Add(id, Entry{Time: time.Unix(1768478400, 0), Step: Undone}); err != nil {
			t.Fatal(err)
		}
		if after, err := j.Record(id); err != nil || after.Step != Undone {
			t.Errorf("what was added to it is not read: %v", err)
		}
	})
}
