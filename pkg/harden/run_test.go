package harden

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const webDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: sidecar, image: b}
      - {name: web, image: a, env: [{name: PASSWORD, value: hunter2}]}
`

func webRef() cluster.Ref {
	return cluster.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
}

func budgetRef() cluster.Ref {
	return cluster.Ref{APIVersion: "policy/v1", Kind: "PodDisruptionBudget", Namespace: "shop", Name: "web"}
}

func container(path ...any) []any {
	return append([]any{"spec", "template", "spec", "containers", change.Item("name", "web")}, path...)
}

// mends is a practice that proposes changes for everything.
func mends(id string, changes ...change.Change) *Item {
	return &Item{
		Practice: practice.Practice{ID: id, Title: id, Severity: report.Warning, Reason: "because", Remedy: &practice.Remedy{Does: "mends it"}},
		Object:   webRef(), Findings: []practice.Finding{practice.On(webRef(), "", "it is not well")},
		Proposal: practice.Propose(changes...),
	}
}

func edits(ref cluster.Ref, edits ...change.Edit) change.Change {
	return change.Change{Object: ref, Edits: edits}
}

func budget() change.Change {
	return change.Change{Object: budgetRef(), Create: map[string]any{"spec": map[string]any{"maxUnavailable": int64(1)}}}
}

// threeChanges are two of the deployment, which are one write, and a new budget
// together with a label, which are another.
func threeChanges() *Plan {
	items := []*Item{
		mends("memory", edits(webRef(), change.Set("64Mi", container("resources", "limits", "memory")...))),
		mends("privileges", edits(webRef(), change.Set(false, container("securityContext", "allowPrivilegeEscalation")...), change.Remove("spec", "replicas"))),
		mends("budget", budget()),
	}
	items[2].unit = 1
	return &Plan{Items: items, Diagnosis: &report.Diagnosis{}}
}

// script answers what it was told to, one answer a question, then no.
type script struct {
	answers []Verdict
	asked   []string
	shown   []report.HardenChange
	told    []string
	edit    func(string) string
	onAsk   func()
}

func (f *script) Show(c *report.HardenChange, _ int) { f.shown = append(f.shown, *c) }

func (f *script) Ask(_ context.Context, c *report.HardenChange, of int) Verdict {
	f.asked = append(f.asked, fmt.Sprintf("%d/%d %s", c.Number, of, c.Practice))
	f.shown = append(f.shown, *c)
	if f.onAsk != nil {
		f.onAsk()
	}
	if len(f.answers) == 0 {
		return No
	}
	answer := f.answers[0]
	f.answers = f.answers[1:]
	return answer
}

func (f *script) Edit(_ context.Context, text string) (string, error) {
	if f.edit == nil {
		return "", errors.New("no editor")
	}
	return f.edit(text), nil
}

func (f *script) Confirm(context.Context, string) bool { return false }

func (f *script) Tell(format string, args ...any) {
	f.told = append(f.told, fmt.Sprintf(format, args...))
}

func (f *script) Progress(string, ...any) {}

// inBubble runs a test in which time passes at once.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func newRun(t *testing.T, s *server, answers ...Verdict) (*Run, *script) {
	face := &script{answers: answers}
	return &Run{API: s, Journal: journal.In(t.TempDir()), Face: face, Timeout: time.Minute, Soak: 2 * time.Second}, face
}

// states are what became of the changes: "applied refused(why)".
func states(h *report.Hardening) string {
	var all []string
	for _, c := range h.Changes {
		text := string(c.State)
		if c.StateReason != "" {
			text += " (" + c.StateReason + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}

func apply(t *testing.T, r *Run, plan *Plan) *report.Hardening {
	t.Helper()
	h, err := r.Apply(t.Context(), plan)
	if err != nil {
		t.Fatalf("%v\n%s", err, states(h))
	}
	return h
}

func TestSeveralChangesOfOneObjectAreOneWriteAndAreUndoneToTheByte(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		before := s.specs()
		r, face := newRun(t, s, Yes, Yes, Yes)
		h := apply(t, r, threeChanges())
		if got := states(h); got != "applied\napplied\napplied" {
			t.Fatal(got)
		}
		if got, want := strings.Join(s.writes, ", "), "patch deployment.apps/web, create poddisruptionbudget.policy/web"; got != want {
			t.Errorf("wrote %s, want %s", got, want)
		}
		if got, want := strings.Join(face.asked, ", "), "1/3 memory, 2/3 privileges, 3/3 budget"; got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
		if diff := face.shown[1].Writes[0].Diff; strings.Contains(diff, "memory") && strings.Contains(diff, "+        resources") {
			t.Errorf("the second change shows the first one's diff:\n%s", diff)
		}
		undoAll(t, r)
		if after := s.specs(); after != before {
			t.Errorf("undone:\n%s\nwant:\n%s", after, before)
		}
	})
}

func TestEachAnswerMeansWhatTheHelpSays(t *testing.T) {
	for name, test := range map[string]struct {
		answers []Verdict
		states  string
		asked   int
	}{
		"nothing is no":           {states: "skipped (declined)\nskipped (declined)\nskipped (declined)", asked: 3},
		"one yes":                 {answers: []Verdict{No, Yes}, states: "skipped (declined)\napplied\nskipped (declined)", asked: 3},
		"all of the object":       {answers: []Verdict{SkipObject, Yes}, states: "skipped (declined)\nskipped (its object is skipped)\napplied", asked: 2},
		"quit drops the unit too": {answers: []Verdict{Yes, Quit}, states: "skipped (quit before it was written)\nskipped (declined)\nskipped (quit before it was asked about)", asked: 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r, face := newRun(t, newServer(t, webDeployment), test.answers...)
				if got := states(apply(t, r, threeChanges())); got != test.states {
					t.Errorf("got\n%s\nwant\n%s", got, test.states)
				}
				if len(face.asked) != test.asked {
					t.Errorf("asked %v", face.asked)
				}
			})
		})
	}
}

func TestAllIsYesToEveryFurtherChangeOfThePractice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		plan := threeChanges()
		plan.Items[2].Practice.ID = "memory"
		r, face := newRun(t, newServer(t, webDeployment), All, No)
		if got := states(apply(t, r, plan)); got != "applied\nskipped (declined)\napplied" || len(face.asked) != 2 {
			t.Errorf("%s\nasked %v", got, face.asked)
		}
	})
}

func TestAnEditedChangeIsShownAgainAndWritten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		r, face := newRun(t, s, Edit, Edit, Yes)
		face.edit = func(text string) string {
			if len(face.asked) == 1 {
				return "kind: Nonsense"
			}
			return strings.Replace(text, "64Mi", "96Mi", 1)
		}
		apply(t, r, threeChanges())
		if !slices.ContainsFunc(face.shown[1].Notes, func(note string) bool { return strings.HasPrefix(note, "not edited: it is nonsense/") }) {
			t.Errorf("what is wrong with the text is not told: %v", face.shown[1].Notes)
		}
		obj := s.objects[webRef()]
		if got, _ := change.Value(obj, change.Set(1, container("resources", "limits", "memory")...).Path); got != "96Mi" {
			t.Errorf("memory limit %v", got)
		}
	})
}

func TestWhatGoesWrongIsRolledBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		s.crashes = func(d *unstructured.Unstructured) string {
			if limit, _ := change.Value(d, change.Set(1, container("resources")...).Path); limit != nil {
				return "out of memory"
			}
			return ""
		}
		before := s.specs()
		r, face := newRun(t, s)
		r.Yes = true
		h := apply(t, r, threeChanges())
		want := "rolled back (pod web-1, container web: CrashLoopBackOff: out of memory)"
		if got := states(h); got != want+"\n"+want+"\napplied" {
			t.Errorf("%s\n%v", got, face.told)
		}
		undoAll(t, r)
		if after := s.specs(); after != before {
			t.Errorf("left:\n%s\nwant:\n%s", after, before)
		}
	})
}

func TestWhenSomebodyIsQuickerTheQuestionIsAskedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, strings.Replace(webDeployment, "image: a, env", "image: a, resources: {limits: {memory: 32Mi}}, env", 1))
		r, face := newRun(t, s, Yes, No)
		face.onAsk = func() {
			if len(face.asked) > 1 {
				return
			}
			obj := s.objects[webRef()].DeepCopy()
			if err := edits(webRef(), change.Set("48Mi", container("resources", "limits", "memory")...)).ApplyTo(obj); err != nil {
				t.Error(err)
			}
			s.keep(obj)
		}
		plan := threeChanges()
		plan.Items = plan.Items[:1]
		if got := states(apply(t, r, plan)); got != "skipped (declined)" || len(face.asked) != 2 {
			t.Errorf("%s, asked %v", got, face.asked)
		}
		if from := face.shown[1].Writes[0].Fields[0].From; from != `"48Mi"` {
			t.Errorf("the second question is about %s", from)
		}
		if len(s.writes) > 0 {
			t.Errorf("wrote %v", s.writes)
		}
	})
}

func TestAnotherFieldChangedMeanwhileIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		r, face := newRun(t, s, Yes)
		face.onAsk = func() {
			obj := s.objects[webRef()].DeepCopy()
			if err := edits(webRef(), change.Set("c", container("image")...)).ApplyTo(obj); err != nil {
				t.Error(err)
			}
			s.keep(obj)
		}
		plan := threeChanges()
		plan.Items = plan.Items[:1]
		if got := states(apply(t, r, plan)); got != "applied" || len(face.asked) != 1 {
			t.Errorf("%s, asked %v", got, face.asked)
		}
		undoAll(t, r)
		want := newServer(t, strings.Replace(webDeployment, "image: a", "image: c", 1)).specs()
		if got := s.specs(); got != want {
			t.Errorf("undone:\n%s\nwant:\n%s", got, want)
		}
	})
}

func TestNoSecretIsInTheJournalOrOnTheScreen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		r, face := newRun(t, s, Yes, Yes, Yes)
		apply(t, r, threeChanges())
		entries, err := os.ReadDir(r.Journal.Directory())
		if err != nil || len(entries) != 2 {
			t.Fatal(entries, err)
		}
		for _, entry := range entries {
			data, err := os.ReadFile(filepath.Join(r.Journal.Directory(), entry.Name()))
			if err != nil || strings.Contains(string(data), "hunter2") {
				t.Errorf("%s: %s, %v", entry.Name(), data, err)
			}
		}
		for _, c := range face.shown {
			for _, w := range c.Writes {
				if strings.Contains(w.Diff, "hunter2") {
					t.Errorf("the diff shows it:\n%s", w.Diff)
				}
			}
		}
		r, _ = newRun(t, newServer(t, webDeployment))
		r.Yes = true
		plan := threeChanges()
		plan.Items = []*Item{mends("env", edits(webRef(), change.Remove(container("env")...)))}
		if got := states(apply(t, r, plan)); got != "refused (it changes a value that may be a secret, and the journal must not hold one)" {
			t.Error(got)
		}
	})
}

func TestATryWritesNothing(t *testing.T) {
	for _, dryRun := range []string{"client", "server"} {
		inBubble(t, func(t *testing.T) {
			s := newServer(t, webDeployment)
			r, _ := newRun(t, s)
			r.DryRun = dryRun
			var asked atomic.Int64 // changes are tried side by side
			s.before = func(verb string, _ cluster.Ref, dry bool) error {
				if verb != "get" {
					asked.Add(1)
				}
				if !dry && verb != "get" && verb != "list" {
					return apierrors.NewGenericServerResponse(http.StatusTeapot, verb, schema.GroupResource{}, "", "no", 0, false)
				}
				return nil
			}
			h, err := r.Try(t.Context(), threeChanges())
			if err != nil || states(h) != "proposed\nproposed\nproposed" || len(s.writes) > 0 {
				t.Errorf("%v: %s, %v", err, states(h), s.writes)
			}
			if dryRun == "client" && asked.Load() > 0 {
				t.Errorf("a client's dry run asked the server %d times to try", asked.Load())
			}
		})
	}
}
