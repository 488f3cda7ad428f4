package drain

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"
)

// placed is where the scheduler would put a pod.
type placed struct {
	node string
	// fits counts the nodes that the pod fits; in a quick run, those looked at.
	fits int
	// reason is the scheduler's own when no node fits.
	reason string
	// victims are pods of lower priority that go to make room on node.
	victims []*corev1.Pod
	// pinned is true when the workload's template names the node.
	pinned bool
	// unknown is why the scheduler's answer cannot be told.
	unknown string
}

// place puts a pod where the scheduler would, and keeps it there. pod has no
// node, and gets one.
func (sc *scheduler) place(ctx context.Context, pod *corev1.Pod) placed {
	if pod.Spec.NodeName != "" { // by its template, past every scheduler
		return placed{node: pod.Spec.NodeName, fits: 1, pinned: true}
	}
	profile := sc.profiles[pod.Spec.SchedulerName]
	if profile == nil {
		return placed{unknown: fmt.Sprintf("scheduled by %q, whose rules are its own", pod.Spec.SchedulerName)}
	}
	found, err := sc.find(ctx, profile, pod)
	if err != nil {
		return placed{unknown: "the scheduler's plugins fail: " + err.Error()}
	}
	if found.node == "" {
		return found
	}
	for _, v := range found.victims {
		sc.remove(v)
	}
	pod.Spec.NodeName = found.node
	if err := sc.add(newPodInfo(pod)); err != nil {
		return placed{unknown: err.Error()}
	}
	return found
}

// undo takes back a placement.
func (sc *scheduler) undo(ctx context.Context, pod *corev1.Pod, p placed) {
	if p.node == "" || p.pinned {
		return
	}
	if state := sc.states[pod]; state != nil {
		sc.profiles[pod.Spec.SchedulerName].RunReservePluginsUnreserve(ctx, state, pod, p.node)
	}
	sc.remove(pod)
	pod.Spec.NodeName = ""
	for _, v := range p.victims {
		sc.restore(v)
	}
}

// find runs one scheduling cycle (kubernetes: pkg/scheduler/schedule_one.go,
// schedulePod): filter, score, reserve and, where nothing fits, preempt.
func (sc *scheduler) find(ctx context.Context, profile framework.Framework, pod *corev1.Pod) (placed, error) {
	if status := preEnqueue(ctx, profile, pod); !status.IsSuccess() {
		return placed{reason: status.Message()}, nil
	}
	state := framework.NewCycleState()
	fitting, diagnosis, err := sc.filter(ctx, profile, state, pod)
	if err != nil {
		return placed{}, err
	}
	fits := len(fitting)
	for len(fitting) > 0 {
		chosen, err := sc.choose(ctx, profile, state, pod, fitting)
		if err != nil {
			return placed{}, err
		}
		status := profile.RunReservePluginsReserve(ctx, state, pod, chosen)
		if status.IsSuccess() {
			sc.states[pod] = state
			return placed{node: chosen, fits: fits}, nil
		}
		profile.RunReservePluginsUnreserve(ctx, state, pod, chosen)
		diagnosis.NodeToStatus.Set(chosen, status)
		fitting = slices.DeleteFunc(fitting, func(n fwk.NodeInfo) bool { return n.Node().Name == chosen })
	}
	if sc.quick {
		return placed{reason: (&framework.FitError{Pod: pod, NumAllNodes: len(sc.nodes), Diagnosis: diagnosis}).Error()}, nil
	}
	unfit := &framework.FitError{Pod: pod, NumAllNodes: len(sc.nodes), Diagnosis: diagnosis}
	if node, victims := sc.preempt(ctx, profile, state, pod, diagnosis.NodeToStatus); node != "" {
		return placed{node: node, fits: 0, victims: victims}, nil
	}
	return placed{reason: unfit.Error()}, nil
}

// preEnqueue is what keeps a pod out of the scheduler's queue: its gates.
func preEnqueue(ctx context.Context, profile framework.Framework, pod *corev1.Pod) *fwk.Status {
	for _, plugin := range profile.PreEnqueuePlugins() {
		if plugin.Name() != defaultpreemption.Name {
			if status := plugin.PreEnqueue(ctx, pod); !status.IsSuccess() {
				return status
			}
		}
	}
	return nil
}

// enoughNodes is how many fitting nodes a quick run compares.
const enoughNodes = 8

// filter finds the nodes that a pod fits.
func (sc *scheduler) filter(ctx context.Context, profile framework.Framework, state fwk.CycleState, pod *corev1.Pod) ([]fwk.NodeInfo, framework.Diagnosis, error) {
	diagnosis := framework.Diagnosis{NodeToStatus: framework.NewDefaultNodeToStatus()}
	all, err := sc.snapshot.NodeInfos().List()
	if err != nil {
		return nil, diagnosis, err
	}
	narrowed, status, rejecting := profile.RunPreFilterPlugins(ctx, state, pod)
	diagnosis.UnschedulablePlugins = rejecting
	if !status.IsSuccess() {
		if !status.IsRejected() {
			return nil, diagnosis, status.AsError()
		}
		diagnosis.NodeToStatus.SetAbsentNodesStatus(status)
		diagnosis.PreFilterMsg = status.Message()
		return nil, diagnosis, nil
	}
	if !narrowed.AllNodes() {
		all = slices.DeleteFunc(slices.Clone(all), func(n fwk.NodeInfo) bool { return !narrowed.NodeNames.Has(n.Node().Name) })
		diagnosis.NodeToStatus.SetAbsentNodesStatus(fwk.NewStatus(fwk.UnschedulableAndUnresolvable, fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", sorted(rejecting))))
	}
	var fitting []fwk.NodeInfo
	for i := range all {
		node := all[(sc.next+i)%len(all)]
		status := profile.RunFilterPlugins(ctx, state, pod, node)
		switch {
		case status.Code() == fwk.Error:
			return nil, diagnosis, status.AsError()
		case !status.IsSuccess():
			diagnosis.NodeToStatus.Set(node.Node().Name, status)
			diagnosis.AddPluginStatus(status)
		default:
			fitting = append(fitting, node)
		}
		if sc.quick && len(fitting) == enoughNodes {
			sc.next = (sc.next + i + 1) % len(all)
			break
		}
	}
	return fitting, diagnosis, nil
}

func sorted(names interface{ UnsortedList() []string }) []string {
	list := names.UnsortedList()
	slices.Sort(list)
	return list
}

// choose picks the node with the best score. The scheduler picks at random among
// the best; here it is the first by name, unless random says otherwise.
func (sc *scheduler) choose(ctx context.Context, profile framework.Framework, state fwk.CycleState, pod *corev1.Pod, fitting []fwk.NodeInfo) (string, error) {
	if len(fitting) == 1 {
		return fitting[0].Node().Name, nil
	}
	if status := profile.RunPreScorePlugins(ctx, state, pod, fitting); !status.IsSuccess() {
		return "", status.AsError()
	}
	scores, status := profile.RunScorePlugins(ctx, state, pod, fitting)
	if !status.IsSuccess() {
		return "", status.AsError()
	}
	slices.SortFunc(scores, func(a, b fwk.NodePluginScores) int {
		return cmp.Or(cmp.Compare(b.TotalScore, a.TotalScore), cmp.Compare(a.Name, b.Name))
	})
	equal := 1
	for equal < len(scores) && scores[equal].TotalScore == scores[0].TotalScore {
		equal++
	}
	if sc.random != nil {
		return scores[sc.random.IntN(equal)].Name, nil
	}
	return scores[0].Name, nil
}

// preempt finds the node on which pods of lower priority would make room, with
// the scheduler's own plugin, and those pods.
func (sc *scheduler) preempt(ctx context.Context, profile framework.Framework, state fwk.CycleState, pod *corev1.Pod, statuses *framework.NodeToStatus) (string, []*corev1.Pod) {
	evaluator := sc.preemptors[profile.ProfileName()]
	if evaluator == nil {
		return "", nil
	}
	if ok, _ := evaluator.PodEligibleToPreemptOthers(ctx, pod, nil); !ok {
		return "", nil
	}
	potential, err := statuses.NodesForStatusCode(sc.snapshot.NodeInfos(), fwk.Unschedulable)
	if err != nil || len(potential) == 0 {
		return "", nil
	}
	candidates, _, err := evaluator.DryRunPreemption(ctx, state, pod, potential, sc.budgets, 0, int32(len(potential))) //nolint:gosec // nodes
	if err != nil || len(candidates) == 0 {
		return "", nil
	}
	slices.SortFunc(candidates, func(a, b preemption.Candidate) int { return cmp.Compare(a.Name(), b.Name()) })
	best := evaluator.SelectCandidate(ctx, candidates)
	if best == nil {
		return "", nil
	}
	return best.Name(), best.Victims().Pods
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func priority(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}
