package drain

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// machines tells what the nodes themselves carry: the control plane, etcd, the
// last of a zone.
func (w *world) machines(l *losses, q Question) {
	drained := map[string]bool{}
	for _, node := range q.Nodes {
		drained[node] = true
	}
	zones := map[string]int{}
	var members, leaving, planes, planesLeaving int
	for _, node := range w.s.Nodes {
		if schedulable(node) && !drained[node.Name] {
			zones[node.Labels[corev1.LabelTopologyZone]]++
		}
		if _, plane := node.Labels["node-role.kubernetes.io/control-plane"]; plane {
			planes++
			planesLeaving += boolRank(drained[node.Name])
		}
		for _, pod := range w.s.PodsOn(node.Name) {
			if pod.Labels["component"] == "etcd" && metav1ControllerKind(pod) == "Node" {
				members++
				leaving += boolRank(drained[node.Name])
			}
		}
	}
	for _, name := range q.Nodes {
		if zone := w.s.Node(name).Labels[corev1.LabelTopologyZone]; zone != "" && zones[zone] == 0 {
			l.add(report.Warning, "zone", report.Object{APIVersion: "v1", Kind: "Node", Name: name}, nil, "zone %s has no schedulable node left", zone)
		}
	}
	plane := report.Object{APIVersion: "v1", Kind: "Node", Name: strings.Join(q.Nodes, ",")}
	switch {
	case leaving > 0 && members-leaving < members/2+1:
		l.add(report.Critical, "etcd", plane, nil, "carries %d of %d etcd members: the drain leaves them, but stopping the machine leaves no quorum", leaving, members)
	case leaving > 0:
		l.add(report.Warning, "etcd", plane, nil, "carries %d of %d etcd members: stopping the machine leaves %d, and a quorum is %d", leaving, members, members-leaving, members/2+1)
	}
	if planesLeaving > 0 && planesLeaving == planes {
		l.add(report.Critical, "control-plane", plane, nil, "is the whole control plane: stopping the machine stops the API")
	}
}

func schedulable(node *corev1.Node) bool { return nodeReady(node) && !node.Spec.Unschedulable }

// nowhere tells when the drain leaves no node for anything.
func (w *world) nowhere(l *losses, q Question) {
	if slices.ContainsFunc(w.s.Nodes, func(node *corev1.Node) bool { return schedulable(node) && !slices.Contains(q.Nodes, node.Name) }) {
		return
	}
	l.add(report.Critical, "capacity", report.Object{APIVersion: "v1", Kind: "Node", Name: strings.Join(q.Nodes, ",")},
		[]string{"kubectl get nodes  # one that is ready and not cordoned has to be there first: kubectl uncordon NODE"},
		"no schedulable node is left in the cluster: no replacement has a place")
}
