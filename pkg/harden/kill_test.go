package harden

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// errKilled stands for SIGKILL: nothing runs after it.
type killed struct{}

// TestAKillAtEveryStepLeavesWhatTheNextRunCanTakeBack ends the process before
// and after every request of a run, and has the next run look at it.
func TestAKillAtEveryStepLeavesWhatTheNextRunCanTakeBack(t *testing.T) {
	requests := 0
	inBubble(t, func(t *testing.T) { // one run in peace, to count
		s := newServer(t, webDeployment)
		s.before = func(string, cluster.Ref, bool) error { requests++; return nil }
		r, _ := newRun(t, s)
		r.Yes = true
		apply(t, r, bothInOne())
	})
	for n := range requests {
		for _, moment := range []string{"before", "after"} {
			for _, way := range []string{"undo", "finish"} {
				t.Run(fmt.Sprintf("%s request %d, then %s", moment, n, way), func(t *testing.T) {
					inBubble(t, func(t *testing.T) { killAt(t, n, moment, way) })
				})
			}
		}
	}
}

func bothInOne() *Plan {
	return &Plan{Items: []*Item{mends("both", threeChanges().Items[0].Proposal.Changes[0], budget())}, Diagnosis: &report.Diagnosis{}}
}

func killAt(t *testing.T, n int, moment, way string) {
	s := newServer(t, webDeployment)
	before := s.specs()
	count := 0
	kill := func(string, cluster.Ref, bool) error {
		if count++; count == n+1 {
			panic(killed{})
		}
		return nil
	}
	if moment == "before" {
		s.before = kill
	} else {
		s.after = kill
	}
	r, face := newRun(t, s)
	r.Yes = true
	func() {
		defer func() {
			if cause := recover(); cause != nil && cause != (killed{}) {
				panic(cause)
			}
		}()
		_, _ = r.Apply(t.Context(), bothInOne())
	}()
	s.before, s.after = nil, nil
	next := &Run{API: s, Journal: r.Journal, Face: face, Timeout: time.Minute, Soak: time.Second}
	records, err := next.Journal.Records()
	if err != nil {
		t.Fatal(err)
	}
	open, err := next.Interrupted(t.Context(), records, func(int) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	if len(open) == 0 && len(records) > 0 && records[0].Undoable() && way == "undo" {
		open = records // it was verified, and the kill came too late
	}
	for _, record := range open {
		if way == "undo" {
			err = next.Undo(t.Context(), record)
		} else {
			_, err = next.Finish(t.Context(), record)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	records, err = next.Journal.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		if record.Interrupted() {
			t.Errorf("the journal still has it as %s", record.Step)
		}
	}
	after := s.specs()
	_, made := s.objects[budgetRef()]
	limited := strings.Contains(after, "64Mi")
	if way == "undo" && after != before || made != limited {
		t.Errorf("left in between: %s\n%s", after, strings.Join(face.told, "\n"))
	}
}

// lostAnswers are errors that leave open whether a write was served.
func lostAnswers() map[string]error {
	return map[string]error{
		"no connection":                errors.New("connection refused"),
		"a load balancer's word":       apierrors.NewGenericServerResponse(http.StatusBadGateway, "patch", schema.GroupResource{}, "web", "", 0, true),
		"an etcd that does not answer": apierrors.NewInternalError(errors.New("etcdserver: request timed out")),
	}
}

func TestALostAnswerIsLookedFor(t *testing.T) {
	for what, lost := range lostAnswers() {
		for _, moment := range []string{"before", "after"} {
			for verb, reference := range map[string]cluster.Ref{"patch": webRef(), "create": budgetRef()} {
				t.Run(what+" "+moment+" "+verb, func(t *testing.T) { losesAnswer(t, lost, moment, verb, reference) })
			}
		}
	}
}

func losesAnswer(t *testing.T, lost error, moment, verb string, reference cluster.Ref) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		down := 0
		lose := func(v string, ref cluster.Ref, dryRun bool) error {
			if v == verb && ref == reference && !dryRun && down == 0 {
				down = 5 // and no answer to the next requests
			}
			if down > 0 {
				down--
				return lost
			}
			return nil
		}
		once := false
		hook := func(v string, ref cluster.Ref, dryRun bool) error {
			if once && down == 0 {
				return nil
			}
			err := lose(v, ref, dryRun)
			once = once || err != nil
			return err
		}
		if moment == "before" {
			s.before = hook
		} else {
			s.after = hook
		}
		before := s.specs()
		r, _ := newRun(t, s)
		r.Yes = true
		if got := states(apply(t, r, bothInOne())); got != "applied" {
			t.Error(got)
		}
		if len(s.writes) != 2 {
			t.Errorf("wrote %v", s.writes)
		}
		undoAll(t, r)
		if s.specs() != before {
			t.Errorf("undone: %s", s.specs())
		}
	})
}

func TestAnObjectThatIsDeletedUnderTheWriteIsToldSo(t *testing.T) {
	for _, dry := range []bool{true, false} {
		inBubble(t, func(t *testing.T) {
			s := newServer(t, webDeployment)
			s.before = func(verb string, _ cluster.Ref, dryRun bool) error {
				if verb == "patch" && dryRun == dry {
					delete(s.objects, webRef())
				}
				return nil
			}
			r, _ := newRun(t, s)
			r.Yes = true
			plan := threeChanges()
			plan.Items = plan.Items[:1]
			want := "refused (shop/deployment.apps/web was deleted meanwhile)"
			if dry {
				want = "refused (deployment.apps/web is no longer there)"
			}
			if got := states(apply(t, r, plan)); got != want {
				t.Errorf("dry run %v: %s", dry, got)
			}
		})
	}
}

func TestAnObjectThatRefusesItsPartTakesTheOthersBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		s.admit = func(obj *unstructured.Unstructured, dryRun bool) error {
			if obj.GetKind() == "PodDisruptionBudget" && !dryRun {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "poddisruptionbudgets"}, "web", errors.New("quota"))
			}
			return nil
		}
		before := s.specs()
		r, _ := newRun(t, s)
		r.Yes = true
		if got := states(apply(t, r, bothInOne())); !strings.HasPrefix(got, "refused (the API server refuses it:") {
			t.Error(got)
		}
		if s.specs() != before {
			t.Errorf("left %s", s.specs())
		}
	})
}

func TestAnInterruptLeavesAJournalThatTellsTheState(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		ctx, cancel := context.WithCancel(t.Context())
		s.after = func(verb string, _ cluster.Ref, dryRun bool) error {
			if verb == "patch" && !dryRun {
				cancel() // while the write is under way
			}
			return nil
		}
		r, face := newRun(t, s)
		r.Yes = true
		plan := bothInOne()
		plan.Items = append(plan.Items, mends("label", edits(webRef(), change.Set("b", "metadata", "labels", "tier"))))
		plan.Items[1].unit = 1
		h, err := r.Apply(ctx, plan)
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		want := "unverified (interrupted before its end was seen)\nskipped (interrupted before it was asked about)"
		if got := states(h); got != want || len(s.writes) != 2 {
			t.Errorf("%s\nwrote %v, and half a change is none", got, s.writes)
		}
		records, _ := r.Journal.Records()
		if len(records) != 1 || records[0].Step != journal.Written || !strings.Contains(face.told[len(face.told)-1], "kubectl prod harden undo "+records[0].ID) {
			t.Errorf("%+v, %v", records, face.told)
		}
	})
}
