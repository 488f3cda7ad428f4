package harden

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// patience is how long a write waits for an API server that does not answer:
// longer than one takes to start again.
const patience = time.Minute

// write writes what was consented to, watches what comes of it, and takes it
// back where that is not well. Its error is a [change.ChangedError] where
// somebody was quicker, and nothing was written.
func (u *unitRun) write(ctx context.Context) error {
	r := u.run
	baseline, err := r.baseline(ctx, u.accepted)
	if err != nil {
		return err
	}
	id := journal.NewID(time.Now())
	record := &journal.Record{ID: id, Cluster: r.identity, Practices: u.practices(), Objects: intended(u.accepted)}
	if err := r.Journal.Begin(id, journal.Entry{
		Time: time.Now(), Step: journal.Intended, Cluster: &r.identity, Process: os.Getpid(),
		Practices: record.Practices, Objects: record.Objects,
	}); err != nil {
		return err
	}
	// From here to the end of the writes an interrupt waits: half of a change is
	// no state to leave behind.
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*patience)
	defer cancel()
	for n := range record.Objects {
		if err := r.writeOne(writing, &record.Objects[n], u.accepted[n].before); err != nil {
			return u.unwritten(writing, record, err)
		}
	}
	if err := r.note(record, journal.Written, ""); err != nil {
		return err
	}
	for _, o := range record.Objects {
		r.Face.Tell("written: %s (change %s)", nameOf(o.Ref()), id)
	}
	return u.see(ctx, record, baseline)
}

// see watches what comes of a write.
func (u *unitRun) see(ctx context.Context, record *journal.Record, baseline *baseline) error {
	r := u.run
	wrong, err := r.watch(ctx, record, baseline)
	switch {
	case ctx.Err() != nil: // told here, and by the exit code
		u.settle(report.Unverified, record.ID, "interrupted before its end was seen")
		r.Face.Tell("interrupted: change %s is written, and nobody has seen what comes of it: the next run offers to, or kubectl prod harden undo %s", record.ID, record.ID)
		return ctx.Err()
	case err != nil:
		u.settle(report.Unverified, record.ID, err.Error())
		return fmt.Errorf("change %s is written, and what comes of it could not be seen (kubectl prod harden undo %s takes it back): %w", record.ID, record.ID, err)
	case wrong == "":
		u.settle(report.Applied, record.ID, "")
		return r.note(record, journal.Verified, "")
	}
	r.Face.Tell("went wrong: %s", wrong)
	back, err := r.rollBack(ctx, record, wrong, baseline)
	if err != nil {
		return err
	}
	if back != "" {
		u.settle(report.Stuck, record.ID, wrong+"; not rolled back: "+back)
		r.Face.Tell("NOT rolled back: %s", back)
		return nil
	}
	u.settle(report.RolledBack, record.ID, wrong)
	r.Face.Tell("rolled back: everything is as it was before")
	return nil
}

// unwritten takes back the part of a change that was written before an object
// refused its own.
func (u *unitRun) unwritten(ctx context.Context, record *journal.Record, cause error) error {
	r := u.run
	if errors.Is(cause, errUnclear) {
		u.settle(report.Unverified, record.ID, cause.Error())
		return fmt.Errorf("change %s: %w; the next run of harden finds out", record.ID, cause)
	}
	if slices.ContainsFunc(record.Objects, func(o journal.Object) bool { return o.Written }) {
		if back, err := r.rollBack(ctx, record, cause.Error(), nil); err != nil || back != "" {
			u.settle(report.Stuck, record.ID, cause.Error()+"; not rolled back: "+back)
			return err
		}
	} else if err := r.note(record, journal.NotWritten, oneLine(cause.Error())); err != nil {
		return err
	}
	if _, ok := errors.AsType[*change.ChangedError](cause); ok {
		return cause
	}
	if refused, ok := errors.AsType[*refusal](said(cause)); ok {
		u.settle(report.Refused, "", refused.text)
		r.Face.Tell("not written: %s", refused.text)
		return nil
	}
	u.settle(report.Refused, "", cause.Error())
	return cause
}

// rollBack takes a change back by itself. back says why it could not.
func (r *Run) rollBack(ctx context.Context, record *journal.Record, why string, baseline *baseline) (back string, err error) {
	if err := r.note(record, journal.Undoing, why); err != nil {
		return "", err
	}
	r.Face.Progress("rolling back")
	// An interrupt does not end this: the cluster is to be as it was.
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Timeout+2*patience)
	defer cancel()
	if err := r.takeBack(undoing, record); err != nil {
		return err.Error(), r.note(record, journal.Stuck, why+"; "+err.Error())
	}
	if err := r.settleBack(undoing, record, baseline); err != nil {
		r.Face.Tell("everything is written back, but %v", err)
	}
	return "", r.note(record, journal.RolledBack, why)
}

func (u *unitRun) practices() []string {
	var practices []string
	for _, i := range u.chosen {
		practices = append(practices, u.items[i].Practice.ID)
	}
	return practices
}

func (r *Run) note(record *journal.Record, step journal.Step, note string) error {
	record.Step = step
	return r.Journal.Add(record.ID, journal.Entry{Time: time.Now(), Step: step, Note: note, Objects: record.Objects})
}

// intended are the objects of drafts, for the journal.
func intended(drafts drafts) []journal.Object {
	var objects []journal.Object
	for _, d := range drafts {
		ref := d.change.Object
		o := journal.Object{APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, Touches: d.touches}
		if d.creates() {
			o.Created = d.change.Body().Object
		} else {
			o.UID, o.ResourceVersion = d.before.GetUID(), d.before.GetResourceVersion()
		}
		objects = append(objects, o)
	}
	return objects
}

var errUnclear = errors.New("whether it was written cannot be told")

// writeOne writes one object and notes in o what the API server made of it.
// Where the answer got lost, it looks whether it was written.
func (r *Run) writeOne(ctx context.Context, o *journal.Object, before *unstructured.Unstructured) error {
	for n := range attempts {
		after, err := r.send(ctx, o, before)
		if err == nil {
			o.Wrote(before, after)
			return nil
		}
		lost := unanswered(err)
		switch {
		case o.Created == nil && isGone(err):
			return refuse("%s was deleted meanwhile", nameOf(o.Ref()))
		case !lost && !movedOn(err), lost && n == attempts-1:
			return err
		}
		now, err := r.reread(ctx, o.Ref())
		if err != nil {
			return fmt.Errorf("%w: %w", errUnclear, err)
		}
		if standing, _ := o.Standing(now); lost && standing == journal.After {
			o.Wrote(nil, now)
			return nil
		}
		if now == nil && o.Created == nil {
			return refuse("%s was deleted meanwhile", nameOf(o.Ref()))
		}
		before = now
		if lost { // it reads, and cannot write yet
			if err := pause(ctx, time.Second); err != nil {
				return fmt.Errorf("%w: %w", errUnclear, err)
			}
		}
	}
	return refuse("%s is being written all the time", nameOf(o.Ref()))
}

// reread reads an object, nil where it is not there, and waits for an API
// server that does not answer.
func (r *Run) reread(ctx context.Context, ref cluster.Ref) (*unstructured.Unstructured, error) {
	deadline := time.Now().Add(patience)
	for {
		now, err := r.API.Get(ctx, ref)
		switch {
		case err == nil:
			return now, nil
		case isGone(err):
			return nil, nil //nolint:nilnil // nothing is there
		case !unanswered(err) || time.Now().After(deadline):
			return nil, err
		}
		r.Face.Progress("the API server does not answer: %s", oneLine(err.Error()))
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// send makes the one request that writes.
func (r *Run) send(ctx context.Context, o *journal.Object, before *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if o.Created != nil {
		return r.API.Create(ctx, &unstructured.Unstructured{Object: o.Created}, false)
	}
	if before.GetUID() != o.UID {
		return nil, refuse("%s was made anew meanwhile", nameOf(o.Ref()))
	}
	patch, err := change.JSONPatch(before, o.Touches)
	if err != nil {
		return nil, err
	}
	return r.API.Patch(ctx, o.Ref(), patch, false)
}

// unanswered reports whether an error leaves open what the API server did: no
// answer, one by what stands before it, or an etcd that did not answer it. A
// webhook that fails is told as an internal error too, and is an answer.
func unanswered(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		_, changed := errors.AsType[*change.ChangedError](err)
		_, refused := errors.AsType[*refusal](err)
		return !changed && !refused
	}
	return status.Status().Code >= 500 && !strings.Contains(err.Error(), "webhook") || apierrors.IsTooManyRequests(err)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// nameOf names an object with its namespace.
func nameOf(ref cluster.Ref) string {
	if ref.Namespace == "" {
		return ref.String()
	}
	return ref.Namespace + "/" + ref.String()
}
