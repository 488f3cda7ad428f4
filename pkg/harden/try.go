package harden

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// draft is what is to be written to one object, as tried on the API server.
type draft struct {
	change change.Change
	// own is the Item's part of the change: the rest was accepted before.
	own change.Change
	// before is the object as it was read, nil for a new one; after is what the
	// API server says it would be.
	before, after *unstructured.Unstructured
	// about is before or, of a new object, the object that the finding is about;
	// nil where that is the cluster.
	about   *unstructured.Unstructured
	touches []change.Touch // of before, to after
	reread  int            // how often it was read anew
}

func (d *draft) creates() bool { return d.before == nil }

// drafts are those of a unit, in the order in which they are written.
type drafts []*draft

func (d drafts) of(ref cluster.Ref) *draft {
	for _, one := range d {
		if one.change.Object == ref {
			return one
		}
	}
	return nil
}

// with are the drafts with others in place of those of the same objects.
func (d drafts) with(others drafts) drafts {
	all := slices.Clone(d)
	for _, other := range others {
		at := slices.IndexFunc(all, func(one *draft) bool { return one.change.Object == other.change.Object })
		if at < 0 {
			all = append(all, other)
		} else {
			all[at] = other
		}
	}
	return all
}

// trial is what the API server says to an Item.
type trial struct {
	drafts drafts // of the Item's objects, with what was accepted before
	owner  Owner
	notes  []string
	// refused says why it must not, cannot or may not be written.
	refused string
	// git is true where it is to be written in Git, or wherever the owner reads.
	git bool
}

// refusal is an error that refuses a change.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// try asks the API server what it would make of an Item, on top of what was
// accepted already. It writes nothing. The error is of a server that does not
// answer.
func (r *Run) try(ctx context.Context, item *Item, accepted drafts) (*trial, error) {
	t := &trial{}
	err := r.tryAll(ctx, item, accepted, t)
	if refused, ok := errors.AsType[*refusal](err); ok {
		t.refused = refused.text
		return t, nil
	}
	return t, err
}

func (r *Run) tryAll(ctx context.Context, item *Item, accepted drafts, t *trial) error {
	for _, c := range item.Proposal.Changes {
		draft, err := r.draft(ctx, c, accepted)
		if draft != nil {
			t.drafts = append(t.drafts, draft) // also of what is refused, to show it
		}
		if err != nil {
			return err
		}
	}
	for _, d := range t.drafts {
		if err := r.owned(ctx, item, d, t); err != nil {
			return err
		}
		if missing := r.missing[d.change.Object]; len(missing) > 0 {
			return refuse("you may not %s", strings.Join(missing, ", nor "))
		}
	}
	for _, d := range t.drafts {
		if err := r.tryOne(ctx, item, d, t); err != nil {
			return err
		}
	}
	return nil
}

// draft makes a change here, without a word to the API server but the read.
func (r *Run) draft(ctx context.Context, c change.Change, accepted drafts) (*draft, error) {
	if c.Create != nil {
		d := &draft{change: c, own: c, after: c.Body()}
		switch _, err := r.API.Get(ctx, c.Object); {
		case err == nil:
			return d, refuse("%s is there already", c.Object)
		case !apierrors.IsNotFound(err) && !isGone(err):
			return d, err
		}
		return d, nil
	}
	d := &draft{change: c, own: c}
	if earlier := accepted.of(c.Object); earlier != nil {
		d.before = earlier.before
		d.change.Edits = append(slices.Clone(earlier.change.Edits), c.Edits...)
	} else {
		before, err := r.API.Get(ctx, c.Object)
		switch {
		case err != nil && isGone(err):
			return nil, refuse("%s is no longer there", c.Object)
		case apierrors.IsForbidden(err):
			return nil, refuse("you may not read %s", c.Object)
		case err != nil:
			return nil, err
		case before.GetDeletionTimestamp() != nil:
			return nil, refuse("%s is being deleted", c.Object)
		}
		d.before = before
	}
	d.after = d.before.DeepCopy()
	if err := d.change.ApplyTo(d.after); err != nil {
		return nil, refuse("%v: it has been changed since it was read; run harden again", err)
	}
	d.touches = change.Diff(d.before, d.after)
	if len(d.touches) == 0 {
		return d, refuse("it is so already")
	}
	return d, nil
}

// tryOne asks the API server to try one draft, and puts its answer into it.
func (r *Run) tryOne(ctx context.Context, item *Item, d *draft, t *trial) error {
	// What comes of a change, or of a budget or an autoscaler beside it, can be
	// seen only on what is well.
	if d.about != nil && rolls(d.about) && (d.creates() || touchesTemplate(d.before, d.touches)) {
		s, err := stateOf(d.about)
		if err != nil {
			return err
		}
		if unfit := s.unfit(item.Practice.Now); unfit != "" {
			return refuse("%s", unfit)
		}
	}
	if holdsSecrets(d) {
		return refuse("it changes a value that may be a secret, and the journal must not hold one")
	}
	if r.DryRun == "client" {
		return nil
	}
	if d.creates() {
		after, err := r.API.Create(ctx, d.change.Body(), true)
		if err != nil {
			return said(err)
		}
		d.after = after
		return nil
	}
	if err := r.conflicts(ctx, d, t); err != nil {
		return err
	}
	patch, err := change.JSONPatch(d.before, d.touches)
	if err != nil {
		return err
	}
	trying, heard := heeding(ctx)
	after, err := r.API.Patch(trying, d.change.Object, patch, true)
	switch {
	case movedOn(err):
		return r.tryAgain(ctx, item, d, t)
	case isGone(err):
		return refuse("%s is no longer there", d.change.Object)
	case err != nil:
		return said(err)
	}
	if err := heed(d.change.Object, heard.said, t); err != nil {
		return err
	}
	d.after, d.touches = after, change.Diff(d.before, after)
	if len(d.touches) == 0 {
		return refuse("the API server, or a webhook of it, takes the change back")
	}
	if touchesTemplate(d.before, d.touches) {
		if rolls(d.before) && endsAbruptly(d.before) {
			t.notes = append(t.notes, "the pods that run now have no preStop hook: while they are replaced some requests may go unanswered, as in every rollout of it so far")
		}
		return r.preflight(ctx, d, t)
	}
	return nil
}

// tryAgain reads the object anew: its status changes all the time, and the
// patch tests the resource version.
func (r *Run) tryAgain(ctx context.Context, item *Item, d *draft, t *trial) error {
	if d.reread++; d.reread > attempts {
		return refuse("it is being written all the time; run harden again")
	}
	fresh, err := r.draft(ctx, d.change, nil)
	if err != nil {
		return err
	}
	if fresh.before.GetResourceVersion() == d.before.GetResourceVersion() {
		return refuse("the API server cannot make the patch, although the object is as it was read")
	}
	d.before, d.after, d.touches = fresh.before, fresh.after, fresh.touches
	return r.tryOne(ctx, item, d, t)
}

// attempts bounds how often a write that lost a race is made anew.
const attempts = 10

// movedOn reports whether a JSON patch failed for a value that it tests: the
// API server answers that with a bare 422 (apiserver:
// pkg/endpoints/handlers/patch.go, applyJSPatch), and a lost race of its own
// with 409.
func movedOn(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsInvalid(err) && strings.Contains(err.Error(), "rejected our request due to an error in our request")
}

// said is an error of the API server, worded for the reader; what is no answer
// to the change stays as it is.
func said(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code >= 500 && !strings.Contains(err.Error(), "webhook") || apierrors.IsUnauthorized(err) {
		return err
	}
	text := oneLine(err.Error())
	switch {
	case strings.Contains(text, "field is immutable"), strings.Contains(text, "updates to statefulset spec for fields other than"):
		return refuse("a field of it cannot be changed in place, the object would have to be made anew: %s", text)
	case strings.Contains(text, "dry run") && strings.Contains(text, "webhook"):
		return refuse("it cannot be tried before it is written: %s", text)
	}
	return refuse("the API server refuses it: %s", text)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// holdsSecrets reports whether what the journal keeps of a draft may hold a
// secret.
func holdsSecrets(d *draft) bool {
	if d.change.Object.Kind == "Secret" {
		return true
	}
	for _, t := range d.touches {
		text, err := json.Marshal([]any{t.Before, t.After})
		inEnv := slices.ContainsFunc(t.Path, func(step fieldpath.PathElement) bool { return step.FieldName != nil && *step.FieldName == "env" })
		if err != nil || inEnv || strings.Contains(string(text), `"env":[`) {
			return true
		}
	}
	return false
}
