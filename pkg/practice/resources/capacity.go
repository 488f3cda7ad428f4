package resources

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// counted are the resources that are added up over nodes.
func counted() []corev1.ResourceName {
	return []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}
}

// takesPods reports whether a node has room for any pod: it is ready, not
// cordoned, and has no taint that keeps pods away. The nodes of a control
// plane, or of a pool kept for some, are no room for the others.
func takesPods(node *corev1.Node) bool {
	if node.Spec.Unschedulable || slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectPreferNoSchedule }) {
		return false
	}
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// room is what a group of nodes can allocate to pods, what is requested of it,
// and what part of that would have to move if the group were lost.
type room struct {
	name                           string
	nodes                          int
	allocatable, requested, moving map[corev1.ResourceName]float64
}

func newRoom(name string) *room {
	return &room{name: name, allocatable: map[corev1.ResourceName]float64{}, requested: map[corev1.ResourceName]float64{}, moving: map[corev1.ResourceName]float64{}}
}

func (r *room) add(s *cluster.Snapshot, node *corev1.Node) {
	held := s.ReservedOn(node.Name)
	r.nodes++
	for _, name := range counted() {
		r.allocatable[name] += number(node.Status.Allocatable[name])
		r.requested[name] += number(held.Requests[name])
		r.moving[name] += number(held.Movable[name])
	}
}

func (r *room) free(name corev1.ResourceName) float64 { return r.allocatable[name] - r.requested[name] }

// rooms groups the nodes that take pods; each group keeps the nodes' order.
func rooms(s *cluster.Snapshot, groupOf func(*corev1.Node) string) []*room {
	var all []*room
	byName := map[string]*room{}
	for _, node := range s.Nodes {
		if !takesPods(node) {
			continue
		}
		name := groupOf(node)
		if byName[name] == nil {
			byName[name] = newRoom(name)
			all = append(all, byName[name])
		}
		byName[name].add(s, node)
	}
	slices.SortFunc(all, func(a, b *room) int { return strings.Compare(a.name, b.name) })
	return all
}

func zoneOf(node *corev1.Node) string { return node.Labels[corev1.LabelTopologyZone] }

// noRoom says that there is nothing to add up.
const noRoom = "no node is ready, uncordoned and free of taints that keep pods away"
