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

func TestRefusals(t *testing.T) {
	status := func(code int, reason string) error {
		return apierrors.NewGenericServerResponse(code, "create", schema.GroupResource{Resource: "pods"}, "", reason, 0, true)
	}
	forbidden := func(text string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New(text))
	}
	_ = status
	for name, test := range map[string]struct {
		deployment string // what to replace in the manifest, old=>new
		set        func(*server)
		want       string
		git        bool
	}{
		"paused":                         {deployment: "replicas: 2=>paused: true", want: "it is paused: a change would take effect at some later moment, when nobody watches (kubectl rollout resume)"},
		"degraded":                       {set: func(s *server) { s.crashes = func(*unstructured.Unstructured) string { return "broken" } }, want: "it is degraded (0 of 2 pods are available): mend it first"},
		"deleted meanwhile":              {set: func(s *server) { delete(s.objects, webRef()) }, want: "deployment.apps/web is no longer there"},
		"a container that is gone":       {deployment: "name: web, image=>name: www, image", want: `deployment.apps/web has no .spec.template.spec.containers[name="web"]: it has been changed since it was read; run harden again`},
		"so already":                     {deployment: "image: a, env=>image: a, resources: {limits: {memory: 64Mi}}, env", want: "it is so already"},
		"Argo CD's":                      {deployment: "labels: {app: web}}\nspec=>annotations: {argocd.argoproj.io/tracking-id: shop}}\nspec", want: "Argo CD (annotation argocd.argoproj.io/tracking-id shop) owns deployment.apps/web: change it in Git", git: true},
		"a right that is missing":        {set: func(s *server) { s.forbidden = map[string]bool{"patch Deployment": true} }, want: "you may not patch deployment.apps in shop"},
		"a field that a controller sets": {set: func(s *server) { s.conflict = map[string]string{".spec.x": "vpa-updater"} }, want: "spec.x is set by the controller vpa-updater, which would set it back", git: true},
		"a field that something sets":    {set: func(s *server) { s.conflict = map[string]string{".spec.x": "deploy-bot"} }, want: "spec.x is set by deploy-bot, of which nothing is known: it may set it back", git: true},
		"a pod that is not admitted": {set: func(s *server) {
			s.admit = func(obj *unstructured.Unstructured, _ bool) error {
				if obj.GetKind() == "Pod" {
					return forbidden(`violates PodSecurity "restricted:latest"`)
				}
				return nil
			}
		}, want: `a pod of the changed template is not admitted: pods is forbidden: violates PodSecurity "restricted:latest"`},
		"no room in the quota for a surge": {set: func(s *server) {
			s.admit = func(obj *unstructured.Unstructured, _ bool) error {
				if obj.GetKind() == "Pod" {
					return forbidden("exceeded quota: small")
				}
				return nil
			}
		}, want: "a pod of the changed template is not admitted: pods is forbidden: exceeded quota: small"},
		"an immutable field": {set: func(s *server) {
			s.admit = func(obj *unstructured.Unstructured, _ bool) error {
				if obj.GetKind() == "Deployment" {
					return forbidden("spec.selector: field is immutable")
				}
				return nil
			}
		}, want: "a field of it cannot be changed in place, the object would have to be made anew: pods is forbidden: spec.selector: field is immutable"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				manifest := webDeployment
				if old, replacement, ok := strings.Cut(test.deployment, "=>"); ok {
					if !strings.Contains(manifest, old) {
						t.Fatalf("no %q in the manifest", old)
					}
					manifest = strings.Replace(manifest, old, replacement, 1)
				}
				s := newServer(t, manifest)
				if test.set != nil {
					test.set(s)
				}
				r, _ := newRun(t, s)
				r.Yes = true
				plan := threeChanges()
				plan.Items = plan.Items[:1]
				h := apply(t, r, plan)
				if c := h.Changes[0]; c.State != report.Refused || c.StateReason != test.want {
					t.Errorf("%s: %s\nwant %s", c.State, c.StateReason, test.want)
				} else if test.git && !strings.Contains(c.Writes[0].Patch, "memory: 64Mi") {
					t.Errorf("no patch for Git: %+v", c.Writes)
				}
				if len(s.writes) > 0 {
					t.Errorf("wrote %v", s.writes)
				}
				if records, _ := r.Journal.Records(); len(records) > 0 {
					t.Errorf("the journal has %+v", records[0])
				}
			})
		})
	}
}

func TestAPersonsFieldIsToldAndWritten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		s.conflict = map[string]string{".spec.x": "kubectl-client-side-apply"}
		r, face := newRun(t, s, Yes)
		plan := threeChanges()
		plan.Items = plan.Items[:1]
		if got := states(apply(t, r, plan)); got != "applied" {
			t.Error(got)
		}
		want := "spec.x was last set by kubectl-client-side-apply: the next apply of that manifest sets it back: change it there too"
		if !slices.Contains(face.shown[0].Notes, want) {
			t.Errorf("%q", face.shown[0].Notes)
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

func TestALostAnswerIsLookedFor(t *testing.T) {
	for _, moment := range []string{"before", "after"} {
		for verb, reference := range map[string]cluster.Ref{"patch": webRef(), "create": budgetRef()} {
			t.Run(moment+" "+verb, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newServer(t, webDeployment)
					down := 0
					lose := func(v string, ref cluster.Ref, dryRun bool) error {
						if v == verb && ref == reference && !dryRun && down == 0 {
							down = 5 // and no answer to the next requests
						}
						if down > 0 {
							down--
							return errors.New("connection refused")
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
			})
		}
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

func TestATryWritesNothing(t *testing.T) {
	for _, dryRun := range []string{"client", "server"} {
		inBubble(t, func(t *testing.T) {
			s := newServer(t, webDeployment)
			r, _ := newRun(t, s)
			r.DryRun = dryRun
			asked := 0
			s.before = func(verb string, _ cluster.Ref, dry bool) error {
				if verb != "get" {
					asked++
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
			if dryRun == "client" && asked > 0 {
				t.Errorf("a client's dry run asked the server %d times to try", asked)
			}
		})
	}
}
