package harden

import (
	"context"
	"fmt"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
)

const (
	lookEvery = 500 * time.Millisecond
	// unschedulableFor is how long a pod may be without a node: a scheduler
	// needs seconds, and preemption frees a place within some.
	unschedulableFor = 15 * time.Second
	// policySoak is how long pods have to stay ready behind a new NetworkPolicy:
	// a probe that it cuts off fails three times, ten seconds apart by default.
	policySoak = 30 * time.Second
	// budgetPatience is how long a new budget may allow nothing: its controller
	// needs a second, and a pod that starts some more.
	budgetPatience = 30 * time.Second
	// autoscalerPatience is how long a new autoscaler may not work: it looks
	// every 15 seconds, and metrics of new pods come after a minute.
	autoscalerPatience = 90 * time.Second
)

// look is what one look at an object says: whether all is as it should be, how
// far it is, or what is wrong.
type look struct {
	done  bool
	told  string
	wrong string
	err   error // of an API server that does not answer
}

type check func(context.Context) look

// watch waits until what a change concerns is well, and has been for a while.
// wrong says what is not, in the end.
func (r *Run) watch(ctx context.Context, record *journal.Record, b *baseline) (wrong string, err error) {
	checks, soak := r.checks(record, b)
	if len(checks) == 0 {
		return "", nil
	}
	deadline := time.Now().Add(r.Timeout)
	var well time.Time // since when
	for {
		all := r.lookAt(ctx, checks)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case all.wrong != "":
			return all.wrong, nil
		case all.done && well.IsZero():
			well = time.Now()
		case !all.done:
			well = time.Time{}
		}
		if !well.IsZero() && time.Since(well) >= soak {
			return "", nil
		}
		if time.Now().After(deadline) && well.IsZero() {
			if all.err != nil {
				return "", all.err
			}
			return fmt.Sprintf("not done within %s: %s", r.Timeout, all.told), nil
		}
		if well.IsZero() {
			r.Face.Progress("%s", all.told)
		} else {
			r.Face.Progress("watching that it stays well")
		}
		if err := pause(ctx, lookEvery); err != nil {
			return "", err
		}
	}
}

// lookAt makes all checks; the worst counts.
func (r *Run) lookAt(ctx context.Context, checks []check) look {
	all := look{done: true}
	for _, check := range checks {
		one := check(ctx)
		switch {
		case one.wrong != "":
			return one
		case one.err != nil:
			all.done, all.err, all.told = false, one.err, "the API server does not answer: "+oneLine(one.err.Error())
		case !one.done:
			all.done, all.told = false, one.told
		}
	}
	return all
}

// checks are what to look at after a change.
func (r *Run) checks(record *journal.Record, b *baseline) (checks []check, soak time.Duration) {
	soak = r.Soak
	for _, o := range record.Objects {
		ref := o.Ref()
		switch {
		case b.workloads[ref] != nil:
			checks = append(checks, r.workloadCheck(ref, b.workloads[ref]))
		case ref.Kind == "PodDisruptionBudget" && o.Created != nil:
			checks = append(checks, within(budgetPatience, r.budgetCheck(ref)))
		case ref.Kind == "HorizontalPodAutoscaler" && o.Created != nil:
			checks = append(checks, within(autoscalerPatience, r.autoscalerCheck(ref)))
		}
	}
	for namespace, before := range b.namespaces {
		soak = max(soak, min(policySoak, 6*r.Soak))
		checks = append(checks, r.namespaceCheck(namespace, before))
	}
	return checks, soak
}
