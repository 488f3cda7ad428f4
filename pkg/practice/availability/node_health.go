package availability

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// NodeNotReady finds nodes whose kubelet does not answer for them.
//
// https://kubernetes.io/docs/concepts/architecture/nodes/#node-status
func NodeNotReady() practice.Practice {
	return practice.Practice{
		ID:       "node-not-ready",
		Title:    "Node that is not ready",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A node that is not ready gets no traffic and no new pods. Its pods are started elsewhere after five minutes, if there is room, and those of StatefulSets not at all.",
		Judged:   "The condition Ready of each node, with the kubelet's or the node controller's own reason.",
		Fix:      "look at the kubelet and the machine; if it is gone for good, delete the node",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/architecture/nodes/#node-status",
			"https://kubernetes.io/docs/tasks/debug/debug-cluster/",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes},
		Uses:         []cluster.Kind{cluster.Pods},
		Check: eachNode(func(s *cluster.Snapshot, node *corev1.Node, ref cluster.Ref) []practice.Finding {
			ready := nodeCondition(node, corev1.NodeReady)
			switch {
			case ready == nil:
				return []practice.Finding{practice.On(ref, "status.conditions", "its kubelet has never reported")}
			case ready.Status == corev1.ConditionTrue:
				return nil
			}
			return []practice.Finding{practice.On(ref, "status.conditions", "not ready for %s, with %d pods on it: %s (%s)",
				since(s.Time, ready.LastTransitionTime.Time), len(s.PodsOn(node.Name)), strings.TrimSpace(ready.Message), ready.Reason).
				Mended("kubectl describe node %s", node.Name)}
		}),
	}
}

// NodePressure finds nodes that run short of something.
//
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
func NodePressure() practice.Practice {
	return practice.Practice{
		ID:       "node-pressure",
		Title:    "Node short of memory, disk, processes or network",
		Chapter:  practice.Availability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "A node under pressure takes no new pods and evicts the ones it has, with no regard to budgets.",
		Judged:   "The conditions MemoryPressure, DiskPressure, PIDPressure and NetworkUnavailable of each node, with the kubelet's own reason. Of a node that is not ready they are out of date, and not judged.",
		Fix:      "free what is short, or move pods away",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-conditions",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes},
		Check: eachNode(func(s *cluster.Snapshot, node *corev1.Node, ref cluster.Ref) []practice.Finding {
			if ready := nodeCondition(node, corev1.NodeReady); ready == nil || ready.Status != corev1.ConditionTrue {
				return nil
			}
			var findings []practice.Finding
			for _, kind := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable} {
				if c := nodeCondition(node, kind); c != nil && c.Status == corev1.ConditionTrue {
					findings = append(findings, practice.On(ref, "status.conditions", "%s for %s: %s", kind, since(s.Time, c.LastTransitionTime.Time), strings.TrimSpace(c.Message)).
						Mended("kubectl describe node %s", node.Name))
				}
			}
			return findings
		}),
	}
}

// NodeCordonedLong finds nodes that somebody forgot.
//
// https://kubernetes.io/docs/concepts/architecture/nodes/#manual-node-administration
func NodeCordonedLong() practice.Practice {
	return practice.Practice{
		ID:       "node-cordoned-long",
		Title:    "Node that has been cordoned for long",
		Chapter:  practice.Availability,
		Severity: report.Warning,
		Reason:   "A cordoned node is paid for and takes no pods. Forgotten after maintenance, it is the capacity that is missing when another node fails.",
		Judged: "Nodes with spec.unschedulable whose taint node.kubernetes.io/unschedulable is older than 24 hours. " +
			"A cordoned node whose taint does not say since when is an info.",
		Fix: "kubectl uncordon, or remove the node",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/architecture/nodes/#manual-node-administration",
			"https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-unschedulable",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes},
		Uses:         []cluster.Kind{cluster.Pods},
		Thresholds:   practice.Thresholds{{Name: "hours", Value: 24, Meaning: "after which nobody is at work on the node any more"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			return eachNode(func(s *cluster.Snapshot, node *corev1.Node, ref cluster.Ref) []practice.Finding {
				return cordoned(s, node, ref, by.Span("hours", time.Hour))
			})(s)
		},
	}
}

// cordoned tells of a node that has been cordoned for longer than maintenance
// takes.
func cordoned(s *cluster.Snapshot, node *corev1.Node, ref cluster.Ref, long time.Duration) []practice.Finding {
	if !node.Spec.Unschedulable {
		return nil
	}
	mend := fmt.Sprintf("kubectl uncordon %s, or remove the node", node.Name)
	for _, taint := range node.Spec.Taints {
		if taint.Key != corev1.TaintNodeUnschedulable || taint.TimeAdded == nil {
			continue
		}
		if s.Time.Sub(taint.TimeAdded.Time) < long {
			return nil
		}
		return []practice.Finding{practice.On(ref, "spec.unschedulable", "cordoned for %s, with %d pods on it", since(s.Time, taint.TimeAdded.Time), len(s.PodsOn(node.Name))).Mended("%s", mend)}
	}
	return []practice.Finding{practice.On(ref, "spec.unschedulable", "is cordoned, and its taint does not say since when").As(report.Info).Mended("%s", mend)}
}

// eachNode judges every node by itself.
func eachNode(check func(*cluster.Snapshot, *corev1.Node, cluster.Ref) []practice.Finding) func(*cluster.Snapshot) practice.Verdict {
	return func(s *cluster.Snapshot) practice.Verdict {
		var v practice.Verdict
		for _, node := range s.Nodes {
			ref := cluster.RefOf("v1", "Node", &node.ObjectMeta)
			v.Judged = append(v.Judged, ref)
			v.Findings = append(v.Findings, check(s, node, ref)...)
		}
		return v
	}
}

func nodeCondition(node *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}
