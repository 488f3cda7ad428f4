package harden

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden/journal"
)

// settleBack waits until the pods of what was taken back are as they were.
func (r *Run) settleBack(ctx context.Context, record *journal.Record, b *baseline) error {
	deadline := time.Now().Add(r.Timeout)
	for _, o := range record.Objects {
		for o.Created == nil {
			obj, err := r.API.Get(ctx, o.Ref())
			if err != nil && isGone(err) || err == nil && !rolls(obj) {
				break
			}
			var told string
			if err == nil {
				s, stateErr := stateOf(obj)
				if stateErr != nil || s.done || s.onDelete {
					break
				}
				told = s.told
				if s.ordered && b != nil {
					r.freeOrdered(ctx, o.Ref(), s, b)
				}
			} else {
				told = oneLine(err.Error())
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s is not as it was after %s: %s", nameOf(o.Ref()), r.Timeout, told)
			}
			r.Face.Progress("%s: %s", nameOf(o.Ref()), told)
			if err := pause(ctx, lookEvery); err != nil {
				return err
			}
		}
	}
	return nil
}

// freeOrdered deletes the pod of ours that a StatefulSet waits for: it does not
// put a corrected template in place of a pod that never became ready
// (kubernetes#67250).
func (r *Run) freeOrdered(ctx context.Context, ref cluster.Ref, s state, b *baseline) {
	before := b.workloads[ref]
	if ref.Kind != "StatefulSet" || before == nil {
		return
	}
	found, err := r.pods(ctx, ref.Namespace, metav1.FormatLabelSelector(s.selector))
	if err != nil {
		return
	}
	for _, pod := range found {
		if wrong := trouble(pod, before, map[types.UID]time.Time{}); wrong == "" || isReady(pod) {
			continue
		}
		if _, old := before.pods[pod.UID]; !old {
			_ = r.API.Delete(ctx, cluster.Ref{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}, pod.UID, pod.ResourceVersion)
		}
	}
}
