package catalogue

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// TestPropertiesOfRemedies holds every remedy to random worlds: what it writes
// passes its own practice and makes no other fail, and what is written and taken
// back leaves every object to the byte as it was; one change by itself, and all of
// them, one after the other, until nothing is proposed any more. WORLDS=1000 draws
// more of them.
func TestPropertiesOfRemedies(t *testing.T) {
	worlds := 15
	if more, err := strconv.Atoi(os.Getenv("WORLDS")); err == nil {
		worlds = more
	}
	written := make(chan string, 1000*worlds)
	t.Run("worlds", func(t *testing.T) {
		for seed := range worlds {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				t.Parallel()
				for _, live := range []bool{true, false} {
					w := newWorld(t, uint64(seed))
					start := w.trial(live)
					holds(t, start, written)
					thereAndBack(t, start)
				}
			})
		}
	})
	close(written)
	counts := map[string]int{}
	for id := range written {
		counts[id]++
	}
	t.Logf("what was written: %v", counts)
	if len(counts) < 20 {
		t.Errorf("the worlds are too tame: only %d remedies wrote anything", len(counts))
	}
}

// trial is the world as a cluster shows it, or as its manifests do.
func (w *world) trial(live bool) trial {
	start := trial{live: live, loaded: new(*cluster.Snapshot)}
	for _, obj := range w.objects {
		if live || !slices.Contains([]string{"Node", "Pod", "PodMetrics", "ReplicaSet"}, obj.GetKind()) {
			start.objects = append(start.objects, obj)
		}
	}
	return start
}

// remediable are the practices that have a remedy for clusters, or manifests.
func remediable(live bool) []practice.Practice {
	return slices.DeleteFunc(All(), func(p practice.Practice) bool {
		return p.Remedy == nil || live && p.Remedy.ManifestsOnly || !live && p.LiveOnly
	})
}

// holds holds each remedy by itself.
func holds(t *testing.T, start trial, written chan<- string) {
	t.Helper()
	start.fails = start.failing(t)
	for _, p := range remediable(start.live) {
		var said strings.Builder
		if mend(t, p, start, &said, rights{}) {
			written <- p.ID
		}
		if t.Failed() {
			t.Fatalf("%s, live %v:\n%s\n%s", p.ID, start.live, said.String(), start.text(t))
		}
	}
}

// thereAndBack writes all that is proposed, until nothing is, and takes it back.
func thereAndBack(t *testing.T, start trial) {
	t.Helper()
	const most = 120 // of changes in one world
	type step struct {
		before  trial
		changes []change.Change
	}
	var steps []step
	now := start
	for {
		p, proposal := proposed(t, now)
		if proposal == nil {
			break
		}
		if len(steps) == most {
			t.Fatalf("it proposes more and more, at last for %s\n%s", p.ID, now.text(t))
		}
		steps = append(steps, step{now, proposal.Changes})
		for _, c := range proposal.Changes {
			now = now.with(t, c)
		}
	}
	for _, s := range slices.Backward(steps) {
		for _, c := range slices.Backward(s.changes) {
			now = now.without(t, s.before, c)
		}
	}
	for _, obj := range start.objects {
		if obj.GetKind() == "Pod" {
			continue // the rollout's, not ours
		}
		at := now.index(obj)
		if at < 0 || text(t, now.objects[at]) != text(t, obj) {
			t.Errorf("taken back, %s %s is\n%s\nand was\n%s", obj.GetKind(), obj.GetName(), text(t, now.objects[at]), text(t, obj))
		}
	}
	if len(now.objects) != len(start.objects) {
		t.Errorf("%d objects were there, and %d are", len(start.objects), len(now.objects))
	}
}

// proposed is the next thing that any remedy proposes.
func proposed(t *testing.T, now trial) (practice.Practice, *practice.Proposal) {
	t.Helper()
	s := now.snapshot(t)
	for _, p := range remediable(now.live) {
		for _, finding := range p.Verdict(s).Findings {
			for _, part := range p.Remedy.Propose(s, finding).Each() {
				if part.Refused == "" {
					return p, &part
				}
			}
		}
	}
	return practice.Practice{}, nil
}

// without takes a change back, as harden's undo does: by the difference that was
// written down, under tests of what stands there.
func (c trial) without(t *testing.T, before trial, made change.Change) trial {
	t.Helper()
	after := trial{live: c.live, loaded: new(*cluster.Snapshot)}
	at := slices.IndexFunc(c.objects, func(obj *unstructured.Unstructured) bool { return names(made.Object, obj) })
	for i, obj := range c.objects {
		if i != at || made.Create == nil {
			after.objects = append(after.objects, obj.DeepCopy())
		}
	}
	if made.Create != nil {
		return after
	}
	was := before.objects[slices.IndexFunc(before.objects, func(obj *unstructured.Unstructured) bool { return names(made.Object, obj) })]
	wrote := was.DeepCopy()
	if err := made.ApplyTo(wrote); err != nil {
		t.Fatal(err)
	}
	patch, err := change.JSONPatch(after.objects[at], change.Inverse(change.Diff(was, wrote)))
	if err != nil {
		t.Fatalf("%s: %v", made.Object, err)
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatal(err)
	}
	data, err := operations.Apply([]byte(text(t, after.objects[at])))
	if err != nil {
		t.Fatalf("%s: %v\n%s", made.Object, err, patch)
	}
	after.objects[at] = &unstructured.Unstructured{}
	if err := after.objects[at].UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return after
}

func (c trial) index(of *unstructured.Unstructured) int {
	return slices.IndexFunc(c.objects, func(obj *unstructured.Unstructured) bool {
		return obj.GetKind() == of.GetKind() && obj.GetNamespace() == of.GetNamespace() && obj.GetName() == of.GetName()
	})
}

func (c trial) text(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, obj := range c.objects {
		all.WriteString(text(t, obj) + "\n")
	}
	return all.String()
}

func text(t *testing.T, obj *unstructured.Unstructured) string {
	t.Helper()
	data, err := obj.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
