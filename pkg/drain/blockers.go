package drain

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// overdue is how long after its end a pod may still be there before it counts
// as stuck: kubelets confirm within seconds.
const overdue = time.Minute

// blockers are everything that stops the drain, with its pods and its fix.
func (w *world) blockers(q Question, runs []nodeRun, victims []*victim) []report.DrainBlocker {
	found := &blockerSet{at: map[string]int{}}
	for _, v := range victims {
		for _, reason := range v.filtered.refusals {
			found.add(reason.Flag, v, flagBlocker(q, reason))
		}
		switch {
		case v.report.Outcome == report.DrainStays:
			b := w.budgetBlocker(v, victims)
			found.add(b.Kind+b.Object.Namespace+"/"+b.Object.Name+b.Message, v, b)
		case !v.filtered.skip && w.stuck(v.pod):
			found.add(v.report.Namespace+"/"+v.report.Name, v, w.stuckBlocker(v.pod))
		}
	}
	for _, run := range runs {
		w.unreachable(found, q, run)
	}
	if d := w.duration(runs); q.Timeout > 0 && d.Seconds > int64(q.Timeout.Seconds()) {
		late := report.DrainBlocker{
			Kind: "timeout", Object: report.Object{APIVersion: "v1", Kind: "Node", Name: strings.Join(q.Nodes, ",")},
			Message: fmt.Sprintf("the drain takes some %s, and --timeout ends it after %s", time.Duration(d.Seconds)*time.Second, q.Timeout),
			Pods:    []string{"(all)"}, Fixes: []string{"# a longer --timeout, or none"},
		}
		found.all = append(found.all, late)
	}
	slices.SortStableFunc(found.all, func(a, b report.DrainBlocker) int {
		return cmp.Or(cmp.Compare(rankOf(a.Kind), rankOf(b.Kind)), cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Name, b.Object.Name))
	})
	return append([]report.DrainBlocker{}, found.all...)
}

// rankOf puts the flags last: they cost one word each.
func rankOf(kind string) int {
	if kind == "flag" {
		return 1
	}
	return 0
}

// blockerSet folds blockers with one cause.
type blockerSet struct {
	all []report.DrainBlocker
	at  map[string]int
}

func (set *blockerSet) add(key string, v *victim, b report.DrainBlocker) {
	i, known := set.at[key]
	if !known {
		i = len(set.all)
		set.at[key] = i
		set.all = append(set.all, b)
	}
	set.all[i].Pods = append(set.all[i].Pods, v.report.Namespace+"/"+v.report.Name)
}

func flagBlocker(q Question, reason report.DrainReason) report.DrainBlocker {
	o := q.Options
	switch reason.Flag {
	case "--ignore-daemonsets":
		o.IgnoreDaemonSets = true
	case "--delete-emptydir-data":
		o.DeleteEmptyDirData = true
	case "--force":
		o.Force = true
	}
	return report.DrainBlocker{
		Kind: "flag", Object: report.Object{APIVersion: "v1", Kind: "Node", Name: strings.Join(q.Nodes, ",")},
		Message: "cannot delete " + reason.Message, Fixes: []string{drainCommand(q, o)},
	}
}

// budgetBlocker says why the eviction API never lets a pod go.
func (w *world) budgetBlocker(v *victim, victims []*victim) report.DrainBlocker {
	b := v.last.budget
	blocker := report.DrainBlocker{
		Kind: "budget", Object: report.Object{APIVersion: "policy/v1", Kind: "PodDisruptionBudget", Namespace: b.Namespace, Name: b.Name},
	}
	patch := func(format string, args ...any) string {
		return in(b.Namespace, "patch poddisruptionbudget %s --type=merge -p '%s'", quote(b.Name), fmt.Sprintf(format, args...))
	}
	switch {
	case v.last.code == http.StatusInternalServerError:
		return w.severalBudgets(v, blocker)
	case b.syncFailed():
		blocker.Kind = "stale"
		blocker.Message = b.refusal()
		blocker.Fixes = []string{in(b.Namespace, "describe poddisruptionbudget %s", quote(b.Name)), patch(`{"spec":{"maxUnavailable":null,"minAvailable":%d}}`, max(b.selected(w.s)-1, 0))}
	case b.Status.ObservedGeneration < b.Generation:
		blocker.Kind = "stale"
		blocker.Message = fmt.Sprintf("generation %d is not processed yet (status is of %d); the API answers 429 until the disruption controller has", b.Generation, b.Status.ObservedGeneration)
		blocker.Fixes = []string{
			in(b.Namespace, "wait --for=jsonpath='{.status.observedGeneration}'=%d poddisruptionbudget/%s --timeout=2m", b.Generation, quote(b.Name)),
			"kubectl -n kube-system get pods -l component=kube-controller-manager  # does it run?",
		}
	case v.last.code == http.StatusForbidden:
		blocker.Kind = "stale"
		blocker.Message = v.last.message
		blocker.Fixes = []string{in(b.Namespace, "get poddisruptionbudget %s -o yaml  # its status; the disruption controller should mend it", quote(b.Name))}
	case !isReady(v.pod):
		blocker.Kind = "unhealthy"
		blocker.Message = fmt.Sprintf("%s: %d healthy of %d needed, and unready pods count as long as that is so", b.rule(), b.Status.CurrentHealthy, b.Status.DesiredHealthy)
		blocker.Fixes = []string{patch(`{"spec":{"unhealthyPodEvictionPolicy":"%s"}}`, policyv1.AlwaysAllow)}
	case b.evictedBefore(victims):
		blocker.Kind = "replacement"
		blocker.Message = fmt.Sprintf("%s: %s go, and then it waits for replacements that do not get ready", arithmetic(b), count(evictedUnder(w, b, victims), "pod"))
		blocker.Fixes = w.surge(v, b, victims)
	case b.Status.CurrentHealthy < b.Status.ExpectedPods && b.Status.ExpectedPods > b.Status.DesiredHealthy:
		blocker.Kind = "unhealthy"
		blocker.Message = fmt.Sprintf("%s; %s not ready", arithmetic(b), areNot(int(b.Status.ExpectedPods-b.Status.CurrentHealthy)))
		blocker.Fixes = append(w.unreadyFixes(b), w.loosen(v, b)...)
	default:
		blocker.Message = arithmetic(b)
		blocker.Fixes = w.loosen(v, b)
	}
	return blocker
}

func areNot(n int) string {
	if n == 1 {
		return "1 pod is"
	}
	return fmt.Sprintf("%d pods are", n)
}

// arithmetic is how a budget comes to what it allows.
func arithmetic(b *budget) string {
	return fmt.Sprintf("%s: %d of %d pods healthy, %d needed, allows %d", b.rule(), b.Status.CurrentHealthy, b.Status.ExpectedPods, b.Status.DesiredHealthy, b.Status.DisruptionsAllowed)
}

func (b *budget) evictedBefore(victims []*victim) bool {
	return slices.ContainsFunc(victims, func(v *victim) bool {
		return v.report.Outcome == report.DrainEvicted && v.last.budget == b && v.last.consumes
	})
}

func evictedUnder(_ *world, b *budget, victims []*victim) int {
	n := 0
	for _, v := range victims {
		if v.report.Outcome == report.DrainEvicted && v.last.budget == b {
			n++
		}
	}
	return n
}

// severalBudgets is the one thing that the eviction API refuses for ever.
func (w *world) severalBudgets(v *victim, blocker report.DrainBlocker) report.DrainBlocker {
	var names []string
	for _, b := range w.budgets.of(v.pod) {
		names = append(names, b.Name)
	}
	blocker.Kind = "budgets"
	blocker.Message = fmt.Sprintf("%d budgets select the pod (%s); the eviction API answers 500 to that, always", len(names), strings.Join(names, ", "))
	for _, name := range names[1:] {
		blocker.Fixes = append(blocker.Fixes, in(blocker.Object.Namespace, "delete poddisruptionbudget %s  # or narrow its selector, so that one is left", quote(name)))
	}
	return blocker
}

// loosen are the ways to make a budget allow one disruption: one more pod,
// where that helps and somebody scales it, or a budget that allows one.
func (w *world) loosen(v *victim, b *budget) []string {
	var fixes []string
	if wl := v.workload; wl != nil && wl.Replicas != nil && wl.Self.Kind == "Deployment" {
		if more := moreReplicas(b, *wl.Replicas); more > 0 {
			fixes = append(fixes, w.scale(wl, more))
		}
	}
	if b.Status.ExpectedPods > 0 {
		fixes = append(fixes, in(b.Namespace, `patch poddisruptionbudget %s --type=merge -p '{"spec":{"minAvailable":null,"maxUnavailable":1}}'`, quote(b.Name)))
	}
	return fixes
}

// scale is the command that gives a Deployment more pods, and keeps them.
func (w *world) scale(wl *cluster.Workload, replicas int32) string {
	if hpa := wl.Autoscaler; hpa != nil {
		return in(hpa.Namespace, `patch horizontalpodautoscaler %s --type=merge -p '{"spec":{"minReplicas":%d,"maxReplicas":%d}}'`, quote(hpa.Name), replicas, max(replicas, hpa.Spec.MaxReplicas))
	}
	return in(wl.Self.Namespace, "scale deployment %s --replicas=%d  # back to %d afterwards", quote(wl.Self.Name), replicas, *wl.Replicas)
}

// moreReplicas is the least number of replicas with which the budget allows a
// disruption; 0 when none does (maxUnavailable 0, minAvailable 100%).
func moreReplicas(b *budget, replicas int32) int32 {
	for n := replicas + 1; n <= replicas*4+4; n++ {
		if needed, ok := needs(b.PodDisruptionBudget, n); ok && n > needed {
			return n
		}
	}
	return 0
}

// needs is how many healthy pods a budget needs of n (kubernetes:
// pkg/controller/disruption, getExpectedPodCount): percentages round up, of
// maxUnavailable in favour of the drain.
func needs(pdb *policyv1.PodDisruptionBudget, n int32) (int32, bool) {
	value := pdb.Spec.MinAvailable
	if value == nil {
		value = pdb.Spec.MaxUnavailable
	}
	if value == nil {
		return 0, false
	}
	number := value.IntVal
	if share, isShare := strings.CutSuffix(value.StrVal, "%"); isShare {
		parsed, err := strconv.Atoi(share)
		if err != nil {
			return 0, false
		}
		number = (int32(parsed)*n + 99) / 100 //nolint:gosec // a percentage
	}
	if pdb.Spec.MinAvailable != nil {
		return number, true
	}
	return max(n-number, 0), true
}

// surge are the ways to get room for replacements that fit nowhere.
func (w *world) surge(v *victim, b *budget, victims []*victim) []string {
	for _, other := range victims {
		if other.last.budget == b && other.report.Unplaced != "" {
			return []string{
				fmt.Sprintf("# no node takes %s/%s: %s", other.report.Namespace, other.report.Name, other.report.Unplaced),
				"kubectl get nodes  # add a node that it fits, or uncordon one",
			}
		}
	}
	return w.loosen(v, b)
}

// unreadyFixes show the pods whose readiness would release a budget.
func (w *world) unreadyFixes(b *budget) []string {
	for _, pod := range w.pods {
		if pod.Namespace == b.Namespace && !isReady(pod) && !ended(pod) && b.selector.Matches(labels.Set(pod.Labels)) {
			return []string{in(pod.Namespace, "describe pod %s  # not ready; once it is, the budget allows one more", quote(pod.Name))}
		}
	}
	return nil
}

func (b *budget) selected(s *cluster.Snapshot) int {
	n := 0
	for _, pod := range s.Pods {
		if pod.Namespace == b.Namespace && b.selector.Matches(labels.Set(pod.Labels)) {
			n++
		}
	}
	return n
}

// stuck reports whether a pod should have ended long ago. Its deletion time is
// when its grace period ends.
func (w *world) stuck(pod *corev1.Pod) bool {
	return !pod.DeletionTimestamp.IsZero() && w.s.Time.Sub(pod.DeletionTimestamp.Time) > overdue
}

func (w *world) stuckBlocker(pod *corev1.Pod) report.DrainBlocker {
	since := w.s.Time.Sub(pod.DeletionTimestamp.Time).Round(time.Second)
	blocker := report.DrainBlocker{
		Kind: "terminating", Object: report.Object{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name},
		Message: fmt.Sprintf("should have ended %s ago; the drain waits for it", since),
		Fixes:   []string{in(pod.Namespace, "delete pod %s --grace-period=0 --force  # only when its containers are surely gone", quote(pod.Name))},
	}
	if len(pod.Finalizers) > 0 {
		blocker.Message += ", and finalizers hold it: " + strings.Join(pod.Finalizers, ", ")
		blocker.Fixes = []string{in(pod.Namespace, "get pod %s -o jsonpath='{.metadata.finalizers}'  # whose controller has to let go", quote(pod.Name))}
	}
	return blocker
}

// unreachable notes a node whose kubelet does not answer: evicted pods never
// end there, and kubectl waits for ever.
func (w *world) unreachable(found *blockerSet, q Question, run nodeRun) {
	node := w.s.Node(run.node)
	if nodeReady(node) || q.SkipWaitForDelete > 0 {
		return
	}
	o := q.Options
	o.SkipWaitForDelete = 1
	one := q
	one.NodeSelector, one.Nodes = "", []string{run.node}
	for _, v := range run.victims {
		if v.report.Outcome == report.DrainEvicted {
			found.add("node/"+run.node, v, report.DrainBlocker{
				Kind: "unreachable", Object: report.Object{APIVersion: "v1", Kind: "Node", Name: run.node},
				Message: "the node is not ready: its kubelet confirms no pod's end, and the drain waits for ever",
				Fixes: []string{
					drainCommand(one, o) + "  # waits for none that should have ended",
					fmt.Sprintf("kubectl taint nodes %s node.kubernetes.io/out-of-service=nodeshutdown:NoExecute  # only when the machine is surely off", quote(run.node)),
				},
			})
		}
	}
}

func metav1ControllerKind(pod metav1.Object) string {
	if controller := metav1.GetControllerOfNoCopy(pod); controller != nil {
		return controller.Kind
	}
	return ""
}
