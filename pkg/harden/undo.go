package harden

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
)

// Undo takes a change back, and waits until the pods are as they were. It
// refuses another cluster's change, and one that somebody has changed since:
// then nothing is written. Interrupted, it can be run again.
func (r *Run) Undo(ctx context.Context, record *journal.Record) error {
	if err := r.sameCluster(ctx, record); err != nil {
		return err
	}
	if !record.Undoable() {
		return fmt.Errorf("there is nothing to take back: it is %s", record.Step)
	}
	if err := r.undoable(ctx, record); err != nil {
		return err
	}
	if err := r.note(record, journal.Undoing, ""); err != nil {
		return err
	}
	// Half of it is no state to leave behind.
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*patience)
	defer cancel()
	if err := r.takeBack(writing, record); err != nil {
		return err
	}
	if err := r.note(record, journal.Undone, ""); err != nil {
		return err
	}
	for _, o := range record.Objects {
		r.Face.Tell("undone: %s (change %s)", nameOf(o.Ref()), record.ID)
	}
	return r.settleBack(ctx, record, nil)
}

// sameCluster refuses what was written to another cluster.
func (r *Run) sameCluster(ctx context.Context, record *journal.Record) error {
	if r.identity.UID == "" {
		identity, err := r.API.Identity(ctx)
		if err != nil {
			return err
		}
		r.identity = identity
	}
	if r.identity.UID != record.Cluster.UID {
		return fmt.Errorf("%w: context %q, server %s (--context chooses it)", errElsewhere, record.Cluster.Context, record.Cluster.Server)
	}
	return nil
}

// undoable refuses, before anything is written, where somebody has changed an
// object since.
func (r *Run) undoable(ctx context.Context, record *journal.Record) error {
	var errs []error
	for i := range record.Objects {
		o := &record.Objects[i]
		now, err := r.reread(ctx, o.Ref())
		if err != nil {
			return err
		}
		switch standing, which := o.Standing(now); standing {
		case journal.Changed:
			errs = append(errs, changedSince(o, now, which))
		case journal.Gone:
			r.Face.Tell("%s was deleted since: there is nothing to take back in it", nameOf(o.Ref()))
		}
	}
	return errors.Join(errs...)
}

func changedSince(o *journal.Object, now *unstructured.Unstructured, which []string) error {
	by := ""
	for _, t := range o.Touches {
		if _, after := t.Stands(now); after {
			continue
		}
		for _, manager := range managersOf(now, t.Path) {
			if manager != change.FieldManager {
				by = " by " + manager
			}
		}
	}
	return refuse("%s: %s was changed since%s: take it back by hand", nameOf(o.Ref()), listed(which), by)
}

// takeBack writes everything back, the last object first.
func (r *Run) takeBack(ctx context.Context, record *journal.Record) error {
	for i := range slices.Backward(record.Objects) {
		if err := r.takeBackOne(ctx, &record.Objects[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) takeBackOne(ctx context.Context, o *journal.Object) error {
	for n := range attempts {
		now, err := r.reread(ctx, o.Ref())
		if err != nil {
			return err
		}
		standing, which := o.Standing(now)
		if standing == journal.Changed {
			return changedSince(o, now, which)
		}
		if standing != journal.After {
			return nil
		}
		err = r.sendBack(ctx, o, now)
		if err == nil || o.Created != nil && apierrors.IsNotFound(err) {
			return nil
		}
		var changed *change.ChangedError
		lost := unanswered(err)
		if !movedOn(err) && !lost && !errors.As(err, &changed) || lost && n == attempts-1 {
			return fmt.Errorf("%s: %w", nameOf(o.Ref()), said(err))
		}
		if lost {
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%s is being written all the time", nameOf(o.Ref()))
}

// sendBack makes the one request that takes an object's change back.
func (r *Run) sendBack(ctx context.Context, o *journal.Object, now *unstructured.Unstructured) error {
	if o.Created != nil {
		return r.API.Delete(ctx, o.Ref(), now.GetUID(), now.GetResourceVersion())
	}
	touches := slices.DeleteFunc(change.Inverse(o.Touches), func(t change.Touch) bool {
		_, done := t.Stands(now)
		return done
	})
	patch, err := change.JSONPatch(now, touches)
	if err != nil {
		return err
	}
	_, err = r.API.Patch(ctx, o.Ref(), patch, false)
	return err
}

// Interrupted are the changes to this cluster of which nobody knows what came:
// an earlier run was killed or interrupted. Those that were never written are
// noted as such and left out; of running, another process is at work.
func (r *Run) Interrupted(ctx context.Context, records []*journal.Record, running func(pid int) bool) ([]*journal.Record, error) {
	identity, err := r.API.Identity(ctx)
	if err != nil {
		return nil, err
	}
	r.identity = identity
	var open []*journal.Record
	for _, record := range records {
		if !record.Interrupted() || record.Cluster.UID != identity.UID {
			continue
		}
		if running(record.Process) {
			r.Face.Tell("change %s is being made by another harden (process %d)", record.ID, record.Process)
			continue
		}
		before, err := r.allBefore(ctx, record)
		switch {
		case err != nil:
			return nil, err
		case !before:
			open = append(open, record)
			continue
		case record.Step == journal.Undoing:
			err = r.note(record, journal.Undone, "found so by a later run")
		default:
			err = r.note(record, journal.NotWritten, "found so by a later run")
		}
		if err != nil {
			return nil, err
		}
		r.Face.Tell("change %s, which was interrupted: everything is as it was before it", record.ID)
	}
	return open, nil
}

// allBefore reports whether all objects are as they were before a change.
func (r *Run) allBefore(ctx context.Context, record *journal.Record) (bool, error) {
	all := true
	for i := range record.Objects {
		now, err := r.reread(ctx, record.Objects[i].Ref())
		if err != nil {
			return false, err
		}
		standing, _ := record.Objects[i].Standing(now)
		all = all && standing == journal.Before
	}
	return all, nil
}

// Finish watches what came of an interrupted change, and takes it back where
// that is not well. What somebody has changed since is left so, and noted as
// [journal.Unwatched]. The pods' restarts before it are not known any more: what
// is wrong with them now counts.
func (r *Run) Finish(ctx context.Context, record *journal.Record) (wrong string, err error) {
	b := &baseline{}
	b.workloads, b.namespaces = map[cluster.Ref]*podsBefore{}, map[string]*podsBefore{}
	for i := range record.Objects {
		o := &record.Objects[i]
		now, err := r.reread(ctx, o.Ref())
		if err != nil {
			return "", err
		}
		standing, which := o.Standing(now)
		switch {
		case standing == journal.Changed:
			return "", r.note(record, journal.Unwatched, changedSince(o, now, which).Error())
		case standing == journal.Before:
			wrong = "only a part of it was written"
		case standing == journal.After && !o.Written:
			o.Wrote(nil, now)
		}
		if now != nil && o.Created == nil && rolls(now) {
			b.workloads[o.Ref()] = &podsBefore{}
		}
	}
	if wrong == "" && record.Step != journal.Undoing {
		if wrong, err = r.watch(ctx, record, b); err != nil {
			return "", err
		}
	}
	if wrong == "" && record.Step != journal.Undoing {
		return "", r.note(record, journal.Verified, "seen by a later run")
	}
	back, err := r.rollBack(ctx, record, wrong, b)
	if back != "" {
		return wrong, errors.Join(err, refuse("not rolled back: %s", back))
	}
	return wrong, err
}

var errElsewhere = errors.New("it was made in another cluster")

func listed(which []string) string { return strings.Join(which, ", ") }
