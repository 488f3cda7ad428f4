package harden

import (
	"context"
	"errors"
	"strings"
)

// preflight has the API server try a pod of the changed template: that is what
// Pod Security, quotas, limit ranges and webhooks judge, and no workload's own
// dry run asks them.
func (r *Run) preflight(ctx context.Context, d *draft, t *trial) error {
	pod := podOf(d.after)
	if pod == nil {
		return nil
	}
	if !r.mayTryPods(ctx, pod.GetNamespace()) {
		t.notes = append(t.notes, "its pods were not tried: you may not create pods in "+pod.GetNamespace())
		return nil
	}
	_, err := r.API.Create(ctx, pod, true)
	if err == nil {
		return nil
	}
	refused, ok := errors.AsType[*refusal](said(err))
	if !ok {
		return err
	}
	surges := false
	if rolls(d.after) {
		s, err := stateOf(d.after)
		if err != nil {
			return err
		}
		surges = s.surges
	}
	switch {
	case strings.Contains(refused.text, "dry run"):
		t.notes = append(t.notes, "its pods were not tried: "+refused.text)
		return nil
	case strings.Contains(refused.text, "exceeded quota") && !surges:
		// Old pods go first, and free what the new ones need.
		t.notes = append(t.notes, "no room for one more pod now: "+refused.text)
		return nil
	}
	return refuse("a pod of the changed template is not admitted: %s", strings.TrimPrefix(refused.text, "the API server refuses it: "))
}
