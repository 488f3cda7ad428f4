package harden

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
)

func undoAll(t *testing.T, r *Run) {
	t.Helper()
	records, err := r.Journal.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range slices.Backward(records) {
		if !record.Undoable() {
			continue
		}
		if err := r.Undo(t.Context(), record); err != nil {
			t.Errorf("undo %s: %v", record.ID, err)
		}
	}
}

func TestAnUndoRefusesWhatIsNoLongerOurs(t *testing.T) {
	for name, test := range map[string]struct {
		meddle func(*testing.T, *server)
		want   string
	}{
		"another cluster": {func(_ *testing.T, s *server) { s.uid = "cluster-2" }, `it was made in another cluster: context "test", server https://test (--context chooses it)`},
		"a field that somebody changed": {func(t *testing.T, s *server) {
			obj := s.objects[webRef()].DeepCopy()
			if err := edits(webRef(), change.Set("1Gi", container("resources", "limits", "memory")...)).ApplyTo(obj); err != nil {
				t.Error(err)
			}
			s.keep(obj)
		}, "shop/deployment.apps/web: spec.template.spec.containers[web].resources was changed since: take it back by hand"},
		"a new object that somebody changed": {func(_ *testing.T, s *server) {
			obj := s.objects[budgetRef()].DeepCopy()
			_ = unstructured.SetNestedField(obj.Object, int64(0), "spec", "maxUnavailable")
			s.keep(obj)
		}, "shop/poddisruptionbudget.policy/web: spec.maxUnavailable was changed since: take it back by hand"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer(t, webDeployment)
				r, _ := newRun(t, s)
				r.Yes = true
				plan := threeChanges()
				plan.Items = []*Item{mends("both", plan.Items[0].Proposal.Changes[0], budget())}
				apply(t, r, plan)
				test.meddle(t, s)
				before, writes := s.specs(), len(s.writes)
				records, _ := r.Journal.Records()
				again := &Run{API: s, Journal: r.Journal, Face: r.Face, Timeout: time.Minute}
				if err := again.Undo(t.Context(), records[0]); err == nil || err.Error() != test.want {
					t.Errorf("got  %v\nwant %s", err, test.want)
				}
				if s.specs() != before || len(s.writes) != writes {
					t.Errorf("it wrote: %v", s.writes[writes:])
				}
			})
		})
	}
}

func TestADeletedObjectIsNoHindranceToAnUndo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		r, _ := newRun(t, s)
		r.Yes = true
		apply(t, r, threeChanges())
		delete(s.objects, webRef())
		undoAll(t, r)
		if len(s.objects) != 0 {
			t.Errorf("left %s", s.specs())
		}
	})
}
