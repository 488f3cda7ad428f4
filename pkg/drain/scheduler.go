package drain

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	resourceslicetracker "k8s.io/dynamic-resource-allocation/resourceslice/tracker"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	schedulermetrics "k8s.io/kubernetes/pkg/scheduler/metrics"
	"k8s.io/kubernetes/pkg/scheduler/util/assumecache"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// scheduler is the real scheduler's framework and plugins over a Snapshot,
// without an API server: it decides, and binds nothing.
type scheduler struct {
	profiles map[string]framework.Framework
	cache    cache.Cache
	snapshot *cache.Snapshot
	stores   stores
	budgets  []*policyv1.PodDisruptionBudget
	nodes    map[string]*corev1.Node // as they stand in the cache
	states   map[*corev1.Pod]fwk.CycleState
	// preemptors are the profiles' preemption plugins.
	preemptors map[string]*preemption.Evaluator
	logger     klog.Logger
	// quick leaves out what only serves to choose between nodes that fit, and
	// stops at enough of them: for plans over thousands of pods.
	quick bool
	next  int
	// random breaks ties between nodes; nil takes the first by name.
	random *rand.Rand
	stale  bool // the snapshot is behind the cache
}

// newScheduler fills the scheduler's cache with the nodes and their pods.
func newScheduler(ctx context.Context, s *cluster.Snapshot, configuration *config.KubeSchedulerConfiguration, quick bool) (*scheduler, error) {
	schedulermetrics.Register()
	sc := &scheduler{
		profiles: map[string]framework.Framework{},
		cache: cache.New(ctx, nil, utilfeature.DefaultFeatureGate.Enabled(features.GenericWorkload),
			utilfeature.DefaultFeatureGate.Enabled(features.CompositePodGroup)),
		snapshot:   cache.NewEmptySnapshot(),
		stores:     newStores(s),
		budgets:    s.Budgets,
		nodes:      map[string]*corev1.Node{},
		states:     map[*corev1.Pod]fwk.CycleState{},
		preemptors: map[string]*preemption.Evaluator{},
		logger:     klog.Background(),
		quick:      quick,
	}
	options, err := sc.options(ctx)
	if err != nil {
		return nil, err
	}
	for i := range configuration.Profiles {
		profile := configuration.Profiles[i].DeepCopy()
		if quick {
			hasten(profile.Plugins)
		}
		f, err := frameworkruntime.NewFramework(ctx, sc.registry(profile.SchedulerName), profile, options...)
		if err != nil {
			return nil, fmt.Errorf("the scheduler's profile %q: %w", profile.SchedulerName, err)
		}
		f.SetPodNominator(nobody{})
		sc.profiles[profile.SchedulerName] = f
	}
	nodes := slices.Clone(s.Nodes)
	slices.SortFunc(nodes, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	for _, node := range nodes {
		sc.cache.AddNode(sc.logger, node)
		sc.nodes[node.Name] = node
	}
	for _, pod := range s.Pods {
		if pod.Spec.NodeName != "" && !ended(pod) && sc.nodes[pod.Spec.NodeName] != nil {
			if err := sc.cache.AddPod(sc.logger, pod); err != nil {
				return nil, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
			}
		}
	}
	sc.stale = true
	return sc, nil
}

// hasten leaves out the preferences that count over the whole cluster for each
// pod. Those that come before scoring have to be named for themselves: they
// would count, and nobody would look at it.
func hasten(profile *config.Plugins) {
	for _, name := range []string{names.InterPodAffinity, names.PodTopologySpread, names.ImageLocality} {
		profile.PreScore.Disabled = append(profile.PreScore.Disabled, config.Plugin{Name: name})
		profile.Score.Disabled = append(profile.Score.Disabled, config.Plugin{Name: name})
	}
}

// registry are the scheduler's plugins; of the one that preempts, what it
// decides by is kept, for its own way to act sends requests.
func (sc *scheduler) registry(profile string) frameworkruntime.Registry {
	registry := plugins.NewInTreeRegistry()
	preempting := registry[defaultpreemption.Name]
	registry[defaultpreemption.Name] = func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
		plugin, err := preempting(ctx, args, handle)
		if p, ok := plugin.(*defaultpreemption.DefaultPreemption); ok {
			sc.preemptors[profile] = p.Evaluator
		}
		return plugin, err
	}
	return registry
}

// options are what the plugins are given, as the scheduler gives it (kubernetes:
// pkg/scheduler/scheduler.go, New).
func (sc *scheduler) options(ctx context.Context) ([]frameworkruntime.Option, error) {
	factory := sc.stores.factory
	tracker, err := resourceslicetracker.StartTracker(ctx, resourceslicetracker.Options{SliceInformer: factory.Resource().V1().ResourceSlices()})
	if err != nil {
		return nil, fmt.Errorf("reading ResourceSlices: %w", err)
	}
	client, err := silentClient()
	if err != nil {
		return nil, err
	}
	claims := assumecache.NewAssumeCache(sc.logger, sc.stores.resourceClaims, "ResourceClaim", "", nil)
	return []frameworkruntime.Option{
		frameworkruntime.WithClientSet(client),
		frameworkruntime.WithInformerFactory(factory),
		frameworkruntime.WithSharedDRAManager(dynamicresources.NewDRAManager(ctx, claims, tracker, factory)),
		frameworkruntime.WithSharedCSIManager(nodevolumelimits.NewCSIManager(factory.Storage().V1().CSINodes().Lister())),
		frameworkruntime.WithSnapshotSharedLister(sc.snapshot),
		frameworkruntime.WithMutableSnapshotLister(sc.snapshot),
		frameworkruntime.WithPodGroupManager(sc.cache),
		frameworkruntime.WithWaitingPods(frameworkruntime.NewWaitingPodsMap()),
		frameworkruntime.WithPodsInPreBind(frameworkruntime.NewPodsInPreBindMap()),
	}, nil
}

// nobody is nominated to a node.
type nobody struct{ fwk.PodNominator }

// NominatedPodsForNode are none.
func (nobody) NominatedPodsForNode(string) []fwk.PodInfo { return nil }

// cordon keeps a node as a ghost: it stays, so that spreading counts its
// domain, and takes no pod (kubernetes: pkg/controller/nodelifecycle adds the
// taint to what kubectl marks).
func (sc *scheduler) cordon(name string) {
	node := sc.nodes[name]
	if node == nil {
		return
	}
	ghost := node.DeepCopy()
	ghost.Spec.Unschedulable = true
	taint := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if !slices.ContainsFunc(ghost.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
		ghost.Spec.Taints = append(ghost.Spec.Taints, taint)
	}
	sc.update(node, ghost)
}

// uncordon brings a node back as it was.
func (sc *scheduler) uncordon(name string, node *corev1.Node) {
	if before := sc.nodes[name]; before != nil && before != node {
		sc.update(before, node)
	}
}

// restore puts a pod back on its node.
func (sc *scheduler) restore(pod *corev1.Pod) {
	if !ended(pod) && sc.nodes[pod.Spec.NodeName] != nil && sc.cache.AddPod(sc.logger, pod) == nil {
		sc.stale = true
	}
}

// update changes a node in the cache.
func (sc *scheduler) update(before, after *corev1.Node) {
	sc.cache.UpdateNode(sc.logger, before, after)
	sc.nodes[after.Name] = after
	sc.stale = true
}

// remove takes a pod off its node.
func (sc *scheduler) remove(pod *corev1.Pod) {
	if pod.Spec.NodeName == "" || ended(pod) {
		return
	}
	if sc.cache.RemovePod(sc.logger, pod) == nil {
		sc.stale = true
	}
	delete(sc.states, pod)
}

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
	if err := sc.cache.AddPod(sc.logger, pod); err != nil {
		return placed{unknown: err.Error()}
	}
	sc.stale = true
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
		if sc.cache.AddPod(sc.logger, v) == nil {
			sc.stale = true
		}
	}
}

// find runs one scheduling cycle (kubernetes: pkg/scheduler/schedule_one.go,
// schedulePod): filter, score, reserve and, where nothing fits, preempt.
func (sc *scheduler) find(ctx context.Context, profile framework.Framework, pod *corev1.Pod) (placed, error) {
	if sc.stale {
		if err := sc.cache.UpdateSnapshot(sc.logger, sc.snapshot); err != nil {
			return placed{}, err
		}
		sc.stale = false
	}
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

// replicaSets are stand-ins with the labels of the real ones as selector, which
// is what spreading by default asks of them.
func replicaSets(s *cluster.Snapshot) []*appsv1.ReplicaSet {
	var all []*appsv1.ReplicaSet
	for _, rs := range s.ReplicaSets {
		all = append(all, &appsv1.ReplicaSet{
			ObjectMeta: rs.ObjectMeta,
			Spec:       appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: rs.Labels}},
		})
	}
	return all
}
