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
	cache    cache.Cache // nodes alone
	snapshot *cache.Snapshot
	stores   stores
	budgets  []*policyv1.PodDisruptionBudget
	nodes    map[string]*corev1.Node // as they stand in the snapshot
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
}

// newScheduler fills the scheduler's snapshot with the nodes and their pods, which
// are those of s made whole.
func newScheduler(ctx context.Context, s *cluster.Snapshot, pods []*corev1.Pod, configuration *config.KubeSchedulerConfiguration, quick bool) (*scheduler, error) {
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
	if err := sc.addNodes(s.Nodes); err != nil {
		return nil, err
	}
	infos := podInfos{}
	for i, pod := range pods {
		if sc.stands(pod) {
			if err := sc.add(infos.of(s.Pods[i], pod)); err != nil {
				return nil, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
			}
		}
	}
	return sc, nil
}

// addNodes has the scheduler's cache make a snapshot of nodes, in its order and
// with their images, and opens that: what comes and goes from then on does so in
// the snapshot itself, of which the cache would copy each node with each change.
func (sc *scheduler) addNodes(nodes []*corev1.Node) error {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	for _, node := range nodes {
		sc.cache.AddNode(sc.logger, node)
		sc.nodes[node.Name] = node
	}
	if err := sc.cache.UpdateSnapshot(sc.logger, sc.snapshot); err != nil {
		return fmt.Errorf("the scheduler's snapshot: %w", err)
	}
	if err := sc.snapshot.StartMutations(); err != nil {
		return fmt.Errorf("the scheduler's snapshot: %w", err)
	}
	return nil
}

// stands reports whether a pod takes room on a node that is there.
func (sc *scheduler) stands(pod *corev1.Pod) bool {
	return !ended(pod) && sc.nodes[pod.Spec.NodeName] != nil
}

// add puts a pod on its node. One that could not be taken off again is an error.
func (sc *scheduler) add(info *framework.PodInfo) error {
	if _, err := framework.GetPodKey(info.Pod); err != nil {
		return err
	}
	return sc.snapshot.AddPod(info, info.Pod.Spec.NodeName)
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
	sc.update(ghost)
}

// uncordon brings a node back as it was.
func (sc *scheduler) uncordon(name string, node *corev1.Node) {
	if before := sc.nodes[name]; before != nil && before != node {
		sc.update(node)
	}
}

// restore puts a pod back on its node.
func (sc *scheduler) restore(pod *corev1.Pod) {
	if sc.stands(pod) {
		_ = sc.add(newPodInfo(pod)) // as before, when it went well
	}
}

// end puts a pod back on its node as one that is ending: for affinities it counts
// until it is gone, for spreading no more (kubernetes: interpodaffinity and
// podtopologyspread of pkg/scheduler/framework/plugins).
func (sc *scheduler) end(pod *corev1.Pod) *corev1.Pod {
	ending := pod.DeepCopy()
	ending.DeletionTimestamp = &metav1.Time{}
	sc.restore(ending)
	return ending
}

// update changes a node. Which pods and images are on it stays.
func (sc *scheduler) update(node *corev1.Node) {
	if info, err := sc.snapshot.Get(node.Name); err == nil {
		info.(*framework.NodeInfo).SetNode(node)
		sc.nodes[node.Name] = node
	}
}

// remove takes a pod off its node.
func (sc *scheduler) remove(pod *corev1.Pod) {
	if sc.stands(pod) {
		_ = sc.snapshot.RemovePod(sc.logger, pod, pod.Spec.NodeName) // or it is gone already
	}
	delete(sc.states, pod)
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
