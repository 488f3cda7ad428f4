package harden

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Verdict is what a person says to a change.
type Verdict int

// The verdicts. The zero value is no.
const (
	No Verdict = iota
	Yes
	// All is yes, and to all further changes of the practice.
	All
	// SkipObject is no, and to all further changes of the object.
	SkipObject
	// Edit opens the change in an editor, and asks again.
	Edit
	// Quit is no to everything.
	Quit
)

// Face is the person, or the script, in front of a Run.
type Face interface {
	// Show shows a change about which there is nothing to ask.
	Show(c *report.HardenChange, of int)
	// Ask shows a change and asks whether to make it.
	Ask(ctx context.Context, c *report.HardenChange, of int) Verdict
	// Edit has a person edit a text; an error is told, and the question asked
	// again.
	Edit(ctx context.Context, text string) (string, error)
	// Confirm asks a question whose default is no.
	Confirm(ctx context.Context, question string) bool
	// Tell tells what was done, a line each.
	Tell(format string, args ...any)
	// Progress tells what is awaited, until the next word.
	Progress(format string, args ...any)
}

// Run is one run of harden on a cluster.
type Run struct {
	API     API
	Journal *journal.Journal
	Face    Face
	// Yes: everything is consented to.
	Yes bool
	// DryRun is "client" to ask the API server for no more than the objects,
	// "server" to have it try each change; "" writes.
	DryRun string
	// Timeout bounds the wait for what comes of a change, after which it is
	// rolled back; Soak is how long all has to stay well.
	Timeout, Soak time.Duration

	identity journal.Cluster
	missing  map[cluster.Ref][]string // what the user may not do
	all      map[string]bool          // practices that were consented to as a whole

	mu           sync.Mutex
	tryPods      map[string]bool // namespaces in which the user may create pods
	once         sync.Once
	applications []string
	argoHidden   bool
}

// Try asks the API server about every change of a plan, and writes nothing.
func (r *Run) Try(ctx context.Context, plan *Plan) (*report.Hardening, error) {
	if err := r.prepare(ctx, plan); err != nil {
		return nil, err
	}
	result := newHardening(plan)
	result.DryRun = r.DryRun
	units := plan.Units()
	shown := make([][]report.HardenChange, len(units))
	var group errgroup.Group
	group.SetLimit(atOnce)
	number := 0
	for n, unit := range units {
		first := number
		number += len(unit)
		group.Go(func() error {
			var accepted drafts
			for i, item := range unit {
				t, err := r.try(ctx, item, accepted)
				if err != nil {
					return fmt.Errorf("%s on %s: %w", item.Practice.ID, item.Object, err)
				}
				shown[n] = append(shown[n], item.shown(first+i+1, t, accepted))
				if t.refused == "" {
					accepted = accepted.with(t.drafts)
				}
			}
			return nil
		})
	}
	err := group.Wait()
	result.Changes = slices.Concat(shown...)
	return result, err
}

// atOnce bounds the changes that are tried together.
const atOnce = 8

// Apply asks about the changes of a plan one by one, writes those that are
// consented to and watches what comes of them. The error is of a server or a
// journal that fails; the result tells how far it came.
func (r *Run) Apply(ctx context.Context, plan *Plan) (*report.Hardening, error) {
	result := newHardening(plan)
	identity, err := r.API.Identity(ctx)
	if err != nil {
		return result, err
	}
	r.identity, r.all = identity, map[string]bool{}
	if err := r.prepare(ctx, plan); err != nil {
		return result, err
	}
	number := 0
	for _, unit := range plan.Units() {
		u := &unitRun{run: r, items: unit, first: number, of: len(plan.Items)}
		number += len(unit)
		quit, err := u.decide(ctx)
		result.Changes = append(result.Changes, u.changes...)
		if err != nil || quit || ctx.Err() != nil {
			r.leave(result, plan, number, quit)
			return result, cmp.Or(err, ctx.Err())
		}
	}
	return result, nil
}

// leave tells of the changes that were not come to.
func (r *Run) leave(result *report.Hardening, plan *Plan, from int, quit bool) {
	why := "interrupted before it was asked about"
	if quit {
		why = "quit before it was asked about"
	}
	for n, item := range plan.Items[from:] {
		c := item.shown(from+n+1, nil, nil)
		c.State, c.StateReason = report.Skipped, why
		result.Changes = append(result.Changes, c)
	}
}

// Report is the plan as it is, before any word with the API server.
func (p *Plan) Report() *report.Hardening {
	h := newHardening(p)
	for n, item := range p.Items {
		shown := item.shown(n+1, nil, nil)
		for _, c := range item.Proposal.Changes {
			shown.Writes = append(shown.Writes, report.HardenWrite{Object: objectOf(c.Object), Create: c.Create != nil, Patch: change.Text(c)})
		}
		h.Changes = append(h.Changes, shown)
	}
	return h
}

func newHardening(plan *Plan) *report.Hardening {
	h := &report.Hardening{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "Hardening"},
		Time:     plan.Diagnosis.Time, Origin: plan.Diagnosis.Origin,
		Changes: []report.HardenChange{}, Platform: plan.Platform, NotChecked: plan.Diagnosis.NotChecked,
	}
	for _, u := range plan.Unsafe {
		h.Unsafe = append(h.Unsafe, report.HardenRefusal{Practice: u.Practice, Object: objectOf(u.Object), Reason: u.Reason})
	}
	return h
}

// prepare finds out what the user may not do, before the first write.
func (r *Run) prepare(ctx context.Context, plan *Plan) error {
	r.missing, r.tryPods = map[cluster.Ref][]string{}, map[string]bool{}
	type right struct {
		verb, apiVersion, kind, namespace string
	}
	asked := map[right]bool{}
	for _, item := range plan.Items {
		for _, c := range item.Proposal.Changes {
			verbs := []string{"get", "patch"}
			if c.Create != nil {
				verbs = []string{"get", "create", "delete"}
			}
			for _, verb := range verbs {
				// Without a name: a right by name alone is rare, and told as missing.
				key := right{verb, c.Object.APIVersion, c.Object.Kind, c.Object.Namespace}
				allowed, known := asked[key]
				if !known {
					var err error
					allowed, err = r.API.May(ctx, verb, cluster.Ref{APIVersion: key.apiVersion, Kind: key.kind, Namespace: key.namespace})
					if err != nil && !isGone(err) {
						return fmt.Errorf("what you may do could not be asked: %w", err)
					}
					asked[key] = allowed
				}
				told := fmt.Sprintf("%s %s in %s", verb, kindOf(c.Object), place(c.Object.Namespace))
				if !allowed && !slices.Contains(r.missing[c.Object], told) {
					r.missing[c.Object] = append(r.missing[c.Object], told)
				}
			}
		}
	}
	return nil
}

func kindOf(ref cluster.Ref) string {
	ref.Name = ""
	name := ref.String()
	return name[:len(name)-1]
}

func place(namespace string) string {
	if namespace == "" {
		return "the cluster"
	}
	return namespace
}

// mayTryPods reports whether the user may create pods in a namespace, so that
// one can be tried.
func (r *Run) mayTryPods(ctx context.Context, namespace string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	may, known := r.tryPods[namespace]
	if !known {
		may, _ = r.API.May(ctx, "create", podRef(namespace)) // what cannot be asked is not tried
		r.tryPods[namespace] = may
	}
	return may
}

// unitRun asks about the Items of a unit and writes those consented to at once.
type unitRun struct {
	run       *Run
	items     []*Item
	first, of int

	accepted drafts
	chosen   []int // indexes of items
	changes  []report.HardenChange
	again    bool // the unit is asked about anew: something was changed meanwhile
}

// decide asks and writes. quit is true where the person wants no more.
func (u *unitRun) decide(ctx context.Context) (quit bool, err error) {
	for range attempts {
		quit, err = u.ask(ctx)
		if err != nil || quit || ctx.Err() != nil || len(u.chosen) == 0 {
			u.abandon(quit)
			return quit, err
		}
		err = u.write(ctx)
		var changed *change.ChangedError
		if !errors.As(err, &changed) {
			return false, err
		}
		u.run.Face.Tell("%s: %v; here it is anew", u.items[0].Object, changed)
		u.again = true
	}
	u.abandon(false)
	return false, nil
}

// ask asks about each Item.
func (u *unitRun) ask(ctx context.Context) (quit bool, err error) {
	decided := u.changes
	u.accepted, u.chosen, u.changes = nil, nil, nil
	skip := false
	for i, item := range u.items {
		if u.again && decided[i].State != report.Proposed {
			u.changes = append(u.changes, decided[i])
			continue
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		c, verdict, err := u.askOne(ctx, i, item, skip)
		if err != nil {
			return false, err
		}
		u.changes = append(u.changes, c)
		switch verdict {
		case SkipObject:
			skip = true
		case Quit:
			return true, nil
		}
	}
	return false, nil
}

// askOne asks about one Item until there is an answer.
func (u *unitRun) askOne(ctx context.Context, i int, item *Item, skip bool) (report.HardenChange, Verdict, error) {
	r := u.run
	problem := ""
	for {
		t, err := r.try(ctx, item, u.accepted)
		if err != nil {
			return report.HardenChange{}, No, fmt.Errorf("%s on %s: %w", item.Practice.ID, item.Object, err)
		}
		c := item.shown(u.first+i+1, t, u.accepted)
		if problem != "" {
			c.Notes = append(c.Notes, problem)
		}
		var verdict Verdict
		switch {
		case t.refused != "":
			r.Face.Show(&c, u.of)
			return c, No, nil
		case skip:
			c.State, c.StateReason = report.Skipped, "its object is skipped"
			return c, No, nil
		case r.Yes || r.all[item.Practice.ID]:
			r.Face.Show(&c, u.of)
			verdict = Yes
		default:
			verdict = r.Face.Ask(ctx, &c, u.of)
		}
		switch verdict {
		case Edit:
			item, problem = u.edited(ctx, item)
			continue
		case Yes, All:
			r.all[item.Practice.ID] = r.all[item.Practice.ID] || verdict == All
			u.accepted = u.accepted.with(t.drafts)
			u.chosen = append(u.chosen, i)
		default:
			c.State, c.StateReason = report.Skipped, "declined"
		}
		return c, verdict, nil
	}
}

// edited is the Item as a person edits it, or as it was, with what was wrong.
func (u *unitRun) edited(ctx context.Context, item *Item) (*Item, string) {
	edited := *item
	edited.Proposal.Changes = slices.Clone(item.Proposal.Changes)
	for n, c := range edited.Proposal.Changes {
		text, err := u.run.Face.Edit(ctx, change.Text(c))
		if err != nil {
			return item, "not edited: " + err.Error()
		}
		if edited.Proposal.Changes[n], err = change.Parse(c, []byte(text)); err != nil {
			return item, "not edited: " + err.Error()
		}
	}
	return &edited, ""
}

// abandon marks what was consented to, but is not written.
func (u *unitRun) abandon(quit bool) {
	why := "interrupted before it was written"
	if quit {
		why = "quit before it was written"
	}
	for i := range u.items {
		switch {
		case i >= len(u.changes):
			c := u.items[i].shown(u.first+i+1, nil, nil)
			c.State, c.StateReason = report.Skipped, why
			u.changes = append(u.changes, c)
		case slices.Contains(u.chosen, i) && u.changes[i].State == report.Proposed:
			u.changes[i].State, u.changes[i].StateReason = report.Skipped, why
		}
	}
}

// settle says what became of the changes that were consented to.
func (u *unitRun) settle(state report.HardenState, id, reason string) {
	for _, i := range u.chosen {
		u.changes[i].State, u.changes[i].ID, u.changes[i].StateReason = state, id, reason
	}
}
