package drain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// losses collects what breaks, once each.
type losses struct {
	all  []report.DrainConsequence
	seen map[string]bool
}

func (l *losses) add(severity report.Severity, kind string, of report.Object, fixes []string, format string, args ...any) {
	c := report.DrainConsequence{Severity: severity, Kind: kind, Object: of, Message: fmt.Sprintf(format, args...), Fixes: fixes}
	key := kind + of.Namespace + "/" + of.String() + c.Message
	if l.seen[key] {
		return
	}
	l.seen[key] = true
	l.all = append(l.all, c)
}

// consequences are what breaks or is lost although the drain finishes, worst
// first.
func (w *world) consequences(q Question, victims []*victim) []report.DrainConsequence {
	l := &losses{seen: map[string]bool{}}
	var gone []*victim
	for _, v := range victims {
		if v.report.Outcome == report.DrainEvicted && !ended(v.pod) && v.pod.DeletionTimestamp.IsZero() { // else it goes anyway
			gone = append(gone, v)
		}
	}
	w.nowhere(l, q)
	w.unplaced(l, gone)
	w.services(l, gone)
	w.workloadsLost(l, gone)
	w.data(l, gone)
	w.singles(l, q, gone)
	w.machines(l, q)
	for _, p := range w.preempted {
		w.tellPreempted(l, p)
	}
	slices.SortStableFunc(l.all, func(a, b report.DrainConsequence) int {
		return cmp.Compare(a.Severity.Rank(), b.Severity.Rank())
	})
	return append([]report.DrainConsequence{}, l.all...)
}

// unplaced are replacements that fit no node.
func (w *world) unplaced(l *losses, gone []*victim) {
	by := map[report.Object][]*victim{}
	var order []report.Object
	for _, v := range gone {
		if v.report.Unplaced == "" {
			continue
		}
		if by[v.report.Owner] == nil {
			order = append(order, v.report.Owner)
		}
		by[v.report.Owner] = append(by[v.report.Owner], v)
	}
	for _, of := range order {
		v := by[of][0]
		if volume := w.stays(v.pod); volume != "" {
			l.add(report.Critical, "volume", of, nil, "%s would stay Pending, for %s cannot follow: %s", count(len(by[of]), "pod"), volume, v.report.Unplaced)
			continue
		}
		l.add(report.Critical, "unplaced", of, []string{"kubectl get nodes  # one more that fits, or free capacity, has to be there first"},
			"%s would stay Pending: %s", count(len(by[of]), "pod"), v.report.Unplaced)
	}
}

// stays names the pod's volume that exists on some nodes only.
func (w *world) stays(pod *corev1.Pod) string {
	for i := range pod.Spec.Volumes {
		claim := w.s.Claim(pod.Namespace, cluster.ClaimOf(pod.Name, &pod.Spec.Volumes[i]))
		if claim == nil || claim.Spec.VolumeName == "" {
			continue
		}
		if volume := w.s.Volume(claim.Spec.VolumeName); volume != nil && volume.Spec.NodeAffinity != nil && volume.Spec.NodeAffinity.Required != nil {
			size := volume.Spec.Capacity[corev1.ResourceStorage]
			return fmt.Sprintf("volume %s (%s, %s)", volume.Name, size.String(), where(volume))
		}
	}
	return ""
}

// where says to which nodes a volume is tied.
func where(volume *corev1.PersistentVolume) string {
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		switch on := term.MatchExpressions; {
		case len(on) == 0:
		case on[0].Key == corev1.LabelHostname:
			return "on node " + strings.Join(on[0].Values, ", ")
		default:
			return fmt.Sprintf("%s %s", on[0].Key, strings.Join(on[0].Values, ","))
		}
	}
	return "tied to some nodes"
}

// workloadsLost tells of workloads that lose their last ready pod, or a
// StatefulSet's majority, at once.
func (w *world) workloadsLost(l *losses, gone []*victim) {
	type moment struct {
		of   *cluster.Workload
		node string
		wave int
	}
	at := map[moment]int{}
	for _, v := range gone {
		if v.workload != nil && isReady(v.pod) {
			at[moment{v.workload, v.report.Node, v.report.Wave}]++
		}
	}
	for _, v := range gone {
		if v.workload == nil || !v.report.Replaced {
			continue
		}
		ready := 0
		for _, pod := range v.workload.Pods {
			if pod.IsReady() && pod.DeletionTimestamp.IsZero() {
				ready++
			}
		}
		leaving := at[moment{v.workload, v.report.Node, v.report.Wave}]
		of := object(v.workload.Owner)
		switch replicas := v.workload.Replicas; {
		case v.workload.Self.Kind == "StatefulSet" && replicas != nil && *replicas >= 3 && ready-leaving <= int(*replicas)/2 && leaving > 0:
			l.add(report.Critical, "quorum", of, nil, "%d of its %d ready pods go at once, and %d are no majority of %d", leaving, ready, ready-leaving, *replicas)
		case leaving > 0 && leaving == ready && replicas != nil && *replicas > 0 && !v.workload.IsServed():
			l.add(report.Warning, "replica", of, nil, "its last ready %s at once", goes(leaving))
		}
	}
}

func goes(n int) string {
	if n == 1 {
		return "pod goes"
	}
	return fmt.Sprintf("%d pods go", n)
}

// data is what ends with the pods.
func (w *world) data(l *losses, gone []*victim) {
	for _, v := range gone {
		for i := range v.pod.Spec.Volumes {
			volume := &v.pod.Spec.Volumes[i]
			if volume.EmptyDir == nil {
				continue
			}
			size := "without a size limit"
			if limit := volume.EmptyDir.SizeLimit; limit != nil {
				size = "up to " + limit.String()
			}
			if volume.EmptyDir.Medium == corev1.StorageMediumMemory {
				size += ", in memory"
			}
			l.add(report.Info, "emptydir", v.report.Owner, nil, "what is in emptyDir %s (%s) is lost", volume.Name, size)
		}
	}
}

// singles are pods that are not made anew, or not as they were.
func (w *world) singles(l *losses, q Question, gone []*victim) {
	for _, v := range gone {
		pod := report.Object{APIVersion: "v1", Kind: "Pod", Namespace: v.pod.Namespace, Name: v.pod.Name}
		switch metav1ControllerKind(v.pod) {
		case "":
			l.add(report.Critical, "bare", pod, []string{in(v.pod.Namespace, "get pod %s -o yaml > %s.yaml  # to make it again by hand", quote(v.pod.Name), quote(v.pod.Name))},
				"gone for good: it has no controller that makes it anew")
		case "Job":
			l.add(report.Warning, "job", v.report.Owner, nil, "its pod starts again from the beginning, and that may count against the Job's backoffLimit")
		}
		if slices.Contains(q.Nodes, v.report.To) {
			l.add(report.Warning, "returns", v.report.Owner, nil, "its replacement goes to drained node %s: it tolerates the cordon, or names the node", v.report.To)
		}
		for name, quantity := range cluster.PodRequests(v.pod) {
			if strings.Contains(string(name), "/") && !strings.HasPrefix(string(name), "hugepages") {
				l.add(report.Info, "device", v.report.Owner, nil, "needs %s of %s; %s", quantity.String(), name, fitsOn(v))
			}
		}
	}
}

func fitsOn(v *victim) string {
	if v.report.To == "" {
		return "no other node has it free"
	}
	return fmt.Sprintf("%s free", has(v.report.Fits))
}

func has(n int) string {
	if n == 1 {
		return "1 other node has it"
	}
	return fmt.Sprintf("%d other nodes have it", n)
}

func (w *world) tellPreempted(l *losses, p *victim) {
	after := "finds no other node: " + p.report.Unplaced
	switch {
	case p.report.To != "":
		after = "moves to " + p.report.To
	case !p.report.Replaced:
		after = "is not made anew"
	}
	severity := report.Warning
	if p.report.To == "" {
		severity = report.Critical
	}
	l.add(severity, "preemption", p.report.Owner, nil, "pod %s (priority %d) is preempted on %s for %s (priority %d) and %s",
		p.report.Name, p.report.Priority, p.report.Node, p.by.report.Name, p.by.report.Priority, after)
}
