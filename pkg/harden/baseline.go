package harden

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// baseline is how the pods were before a write.
type baseline struct {
	workloads  map[cluster.Ref]*podsBefore
	namespaces map[string]*podsBefore // those behind a NetworkPolicy
}

// podsBefore are pods before a write.
type podsBefore struct {
	pods      map[types.UID]podBefore
	ready     int
	endpoints map[string]int // ready ones, by EndpointSlice's Service
}

type podBefore struct {
	ready    bool
	restarts map[string]int32 // by container
}

// baseline reads how the pods are that a write concerns.
func (r *Run) baseline(ctx context.Context, drafts drafts) (*baseline, error) {
	b := &baseline{map[cluster.Ref]*podsBefore{}, map[string]*podsBefore{}}
	for _, d := range drafts {
		var err error
		switch ref := d.change.Object; {
		case ref.Kind == "NetworkPolicy":
			b.namespaces[ref.Namespace], err = r.podsNow(ctx, ref.Namespace, "")
		case !d.creates() && rolls(d.before):
			s, stateErr := stateOf(d.before)
			if stateErr != nil {
				return nil, stateErr
			}
			b.workloads[ref], err = r.podsNow(ctx, ref.Namespace, metav1.FormatLabelSelector(s.selector))
		}
		if err != nil {
			return nil, fmt.Errorf("how the pods are before the change could not be read: %w", err)
		}
	}
	return b, nil
}

func (r *Run) podsNow(ctx context.Context, namespace, selector string) (*podsBefore, error) {
	found, err := r.pods(ctx, namespace, selector)
	if err != nil {
		return nil, err
	}
	before := &podsBefore{pods: map[types.UID]podBefore{}}
	for _, pod := range found {
		one := podBefore{ready: isReady(pod), restarts: map[string]int32{}}
		for _, status := range statuses(pod) {
			one.restarts[status.Name] = status.RestartCount
		}
		if one.ready {
			before.ready++
		}
		before.pods[pod.UID] = one
	}
	before.endpoints = r.endpoints(ctx, namespace, func(uid types.UID) bool { _, ok := before.pods[uid]; return ok })
	return before, nil
}

func (r *Run) pods(ctx context.Context, namespace, selector string) ([]*corev1.Pod, error) {
	items, err := r.API.List(ctx, podRef(namespace), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	var found []*corev1.Pod
	for i := range items {
		pod, err := typed[corev1.Pod](&items[i])
		if err != nil {
			return nil, err
		}
		if pod.DeletionTimestamp == nil {
			found = append(found, pod)
		}
	}
	return found, nil
}

// endpoints counts the ready endpoints of each Service that has one of the
// pods behind it; nil where they cannot be read.
func (r *Run) endpoints(ctx context.Context, namespace string, of func(types.UID) bool) map[string]int {
	items, err := r.API.List(ctx, cluster.Ref{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice", Namespace: namespace}, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	ready := map[string]int{}
	for i := range items {
		slice, err := typed[discoveryv1.EndpointSlice](&items[i])
		if err != nil {
			continue
		}
		service := slice.Labels[discoveryv1.LabelServiceName]
		for _, endpoint := range slice.Endpoints {
			if isReady := endpoint.Conditions.Ready; endpoint.TargetRef != nil && of(endpoint.TargetRef.UID) && (isReady == nil || *isReady) {
				ready[service]++
			}
		}
	}
	return ready
}
