// Package incident tells what happened lately, for an engineer whose cluster is
// burning: what was changed, and what the cluster warns of.
package incident

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Needs are the kinds whose changes are told, and the Warning events.
func Needs() []cluster.Kind {
	return append(cluster.WorkloadKinds(), cluster.Events, cluster.ConfigMaps, cluster.Services, cluster.Ingresses, cluster.NetworkPolicies,
		cluster.Autoscalers, cluster.Budgets, cluster.Nodes, cluster.Namespaces, cluster.ResourceQuotas, cluster.LimitRanges)
}

// window is how far back events are told; the API server keeps them for an
// hour unless it is told otherwise (--event-ttl).
const window = time.Hour

// Tell adds to a diagnosis what happened in its Snapshot lately.
func Tell(s *cluster.Snapshot, d *report.Diagnosis) {
	d.Changes = changes(s)
	d.Events = events(s)
	d.NotChecked = append(d.NotChecked, unseen(s, d.NotChecked)...)
}

// unseen are the kinds that could not be read, beyond those that a practice
// misses: without the events, no warning is told, and that is no calm.
func unseen(s *cluster.Snapshot, told []report.NotChecked) []report.NotChecked {
	var more []report.NotChecked
	for _, kind := range Needs() {
		c := s.Coverage(kind)
		if c.State != cluster.Forbidden && c.State != cluster.Failed {
			continue
		}
		if !slices.ContainsFunc(told, func(n report.NotChecked) bool { return n.Subject == string(kind) }) {
			more = append(more, report.NotChecked{Subject: string(kind), State: string(c.State), Reason: c.Reason, Allow: c.Allow})
		}
	}
	return more
}

// changes are the user's last hour, and the nodes'.
func changes(s *cluster.Snapshot) []report.Change {
	var told []report.Change
	for _, c := range s.Changes {
		if c.Object.IsPlatform() || c.Object.Name == "kube-root-ca.crt" {
			continue
		}
		told = append(told, report.Change{
			Object: object(c.Object), What: c.What, By: c.By, Time: metav1.NewTime(c.Time),
		})
	}
	return told
}

func object(ref cluster.Ref) report.Object {
	return report.Object{APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
}

// cause is what makes two events the same for a reader: who warns of what,
// about which owner, names and numbers aside.
type cause struct {
	reason, message string
	object          cluster.Ref
}

// events folds the Warning events of the last hour by cause: the latest first
// among those that concern the most objects.
func events(s *cluster.Snapshot) []report.EventGroup {
	owners := podOwners(s)
	groups := map[cause]*report.EventGroup{}
	about := map[cause]map[string]bool{}
	for _, e := range s.Events {
		last := lastSeen(e)
		if s.Time.Sub(last) > window {
			continue
		}
		owner := ownerOf(s, owners, e)
		key := cause{e.Reason, normal(e.Message), owner}
		g := groups[key]
		if g == nil {
			g = &report.EventGroup{Reason: e.Reason, Message: strings.TrimSpace(e.Message), Object: object(owner)}
			groups[key], about[key] = g, map[string]bool{}
		}
		g.Count += times(e)
		if g.Last.Time.Before(last) {
			g.Last, g.Message = metav1.NewTime(last), strings.TrimSpace(e.Message)
		}
		about[key][e.InvolvedObject.Name] = true
		g.Objects = len(about[key])
	}
	all := make([]report.EventGroup, 0, len(groups))
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b report.EventGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last.Time),
			strings.Compare(a.Object.String(), b.Object.String()), strings.Compare(a.Message, b.Message))
	})
	return all
}

// podOwners finds a pod's Workload by the pod.
func podOwners(s *cluster.Snapshot) map[cluster.Ref]*cluster.Workload {
	owners := map[cluster.Ref]*cluster.Workload{}
	for _, w := range s.Workloads() {
		for _, pod := range w.Pods {
			owners[cluster.RefOf("v1", "Pod", &pod.ObjectMeta)] = w
		}
	}
	return owners
}

// ownerOf is the object a person would look at: of a pod, its workload.
func ownerOf(s *cluster.Snapshot, owners map[cluster.Ref]*cluster.Workload, e *corev1.Event) cluster.Ref {
	about := e.InvolvedObject
	ref := cluster.Ref{APIVersion: about.APIVersion, Kind: about.Kind, Namespace: about.Namespace, Name: about.Name}
	if w := cmp.Or(owners[ref], s.WorkloadByRef(ref)); w != nil {
		return w.Owner
	}
	return ref
}

// lastSeen is when an event was last seen, wherever its reporter noted that.
func lastSeen(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	default:
		return e.CreationTimestamp.Time
	}
}

func times(e *corev1.Event) int {
	if e.Series != nil {
		return int(e.Series.Count)
	}
	return max(int(e.Count), 1)
}

// normal is a message without what differs from pod to pod: names with a
// hash, numbers, addresses and identifiers.
func normal(message string) string {
	return regexp.MustCompile(`\b[0-9a-zA-Z._-]*\d[0-9a-zA-Z._-]*\b`).ReplaceAllString(message, "#")
}
