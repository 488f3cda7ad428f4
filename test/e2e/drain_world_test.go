//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// world is a small random cluster: nodes of its own, which only its pods may
// use, and a namespace of its own. Worlds cannot see each other, so that several
// stand in one control plane.
type world struct {
	seed    uint64
	random  *rand.Rand
	name    string
	nodes   []*corev1.Node
	objects []runtime.Object // in the order of creation
	// unready are workloads of whose pods one is made unready.
	unready []string
	flags   []string
	drain   []string // names of the nodes to drain
}

func newWorld(seed uint64) *world {
	w := &world{seed: seed, random: rand.New(rand.NewPCG(seed, 1)), name: fmt.Sprintf("world-%d", seed)}
	w.objects = append(w.objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.name}})
	w.makeNodes(3 + w.random.IntN(4))
	for i := range 3 + w.random.IntN(6) {
		w.makeWorkload(fmt.Sprintf("app-%d", i))
	}
	if w.chance(50) {
		w.makeDaemonSet()
	}
	w.choose()
	return w
}

func (w *world) chance(percent int) bool { return w.random.IntN(100) < percent }

func pick[T any](w *world, from ...T) T { return from[w.random.IntN(len(from))] }

func (w *world) makeNodes(n int) {
	zones := 1 + w.random.IntN(3)
	for i := range n {
		name := fmt.Sprintf("%s-n%d", w.name, i)
		size := corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(pick(w, "2", "4", "8")), corev1.ResourceMemory: resource.MustParse(pick(w, "4Gi", "8Gi")), corev1.ResourcePods: resource.MustParse(pick(w, "8", "20", "110")),
		}
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
				Labels: map[string]string{"world": w.name, corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprintf("%s-%d", w.name, i%zones), "size": size.Cpu().String()},
			},
			Status: corev1.NodeStatus{Capacity: size, Allocatable: size},
		}
		// Nobody else's pods may come here: the worlds would see each other.
		node.Spec.Taints = []corev1.Taint{{Key: "world", Value: w.name, Effect: corev1.TaintEffectNoSchedule}}
		if i > 0 && w.chance(15) {
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: "dedicated", Value: "x", Effect: corev1.TaintEffectNoSchedule})
		}
		w.nodes = append(w.nodes, node)
		w.objects = append(w.objects, node)
	}
}

// spec is a random pod spec for the pods of a workload.
func (w *world) spec(app string) corev1.PodSpec {
	grace := int64(pick(w, 0, 1, 2))
	spec := corev1.PodSpec{
		NodeSelector:                  map[string]string{"world": w.name},
		TerminationGracePeriodSeconds: &grace,
		Tolerations:                   []corev1.Toleration{{Key: "world", Operator: corev1.TolerationOpExists}},
		Containers: []corev1.Container{{Name: "app", Image: "app", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(pick(w, "100m", "250m", "500m", "1", "1500m")), corev1.ResourceMemory: resource.MustParse(pick(w, "64Mi", "256Mi", "1Gi")),
		}}}},
	}
	if w.chance(30) {
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{Key: "dedicated", Operator: corev1.TolerationOpExists})
	}
	if w.chance(20) {
		spec.PriorityClassName = pick(w, "drain-low", "drain-high", "drain-polite")
	}
	if w.chance(15) {
		spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	switch w.random.IntN(10) {
	case 0:
		spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{LabelSelector: selector, TopologyKey: pick(w, corev1.LabelHostname, corev1.LabelTopologyZone)}}}}
	case 1:
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{w.name + "-0"}}}}}}}}
	case 2, 3:
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: pick(w, corev1.LabelHostname, corev1.LabelTopologyZone), WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector}}
	case 4:
		spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{LabelSelector: selector, TopologyKey: corev1.LabelTopologyZone}}}}
	case 5:
		spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: int32(8000 + w.random.IntN(2))}}
	}
	return spec
}

func (w *world) makeWorkload(app string) {
	labels := map[string]string{"app": app, "tier": pick(w, "front", "back")}
	meta := metav1.ObjectMeta{Name: app, Namespace: w.name, Labels: labels}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: w.spec(app)}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	replicas := int32(1 + w.random.IntN(4))
	switch kind := w.random.IntN(100); {
	case kind < 60:
		w.objects = append(w.objects, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: template}})
	case kind < 80:
		if w.chance(60) {
			w.addVolume(app, &template.Spec)
			replicas = 1
		}
		w.objects = append(w.objects, &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Selector: selector, Template: template, PodManagementPolicy: pick(w, appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement)}})
	case kind < 87:
		w.objects = append(w.objects, &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: selector, Template: template}})
	case kind < 92:
		template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		// KWOK ends pods that a Job owns at once; held by a ReplicaSet's name it would not be a Job.
		w.objects = append(w.objects, &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Parallelism: &replicas, Completions: &replicas, Template: template}})
	default:
		w.objects = append(w.objects, &corev1.Pod{ObjectMeta: meta, Spec: template.Spec})
	}
	if w.chance(55) {
		w.makeBudget(app, map[string]string{"app": app}, replicas)
	}
	if w.chance(8) {
		w.makeBudget(app+"-too", map[string]string{"tier": labels["tier"]}, replicas)
	}
	if w.chance(12) {
		w.unready = append(w.unready, app)
	}
}

// addVolume ties a workload to a zone, or to one node.
func (w *world) addVolume(app string, spec *corev1.PodSpec) {
	key, value := corev1.LabelTopologyZone, w.name+"-0"
	if w.chance(30) {
		key, value = corev1.LabelHostname, w.nodes[w.random.IntN(len(w.nodes))].Name
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	class, name := "", w.name+"-"+app
	w.objects = append(w.objects,
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			ClaimRef:               &corev1.ObjectReference{Namespace: w.name, Name: app},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "test", VolumeHandle: name}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}}}}}}}}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: w.name}, Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: name, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Resources: corev1.VolumeResourceRequirements{Requests: size}}})
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: app}}})
}

func (w *world) makeBudget(name string, labels map[string]string, replicas int32) {
	spec := policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}}
	number := intstr.FromInt32(w.random.Int32N(replicas + 1))
	share := intstr.FromString(strconv.Itoa(pick(w, 0, 25, 50, 75, 100)) + "%")
	value := pick(w, number, share, intstr.FromInt32(1))
	if w.chance(50) {
		spec.MinAvailable = &value
	} else {
		spec.MaxUnavailable = &value
	}
	if w.chance(25) {
		policy := pick(w, policyv1.AlwaysAllow, policyv1.IfHealthyBudget)
		spec.UnhealthyPodEvictionPolicy = &policy
	}
	if w.chance(4) {
		spec.Selector = &metav1.LabelSelector{} // every pod of the namespace
	}
	w.objects = append(w.objects, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.name}, Spec: spec})
}

func (w *world) makeDaemonSet() {
	spec := w.spec("agent")
	spec.Affinity, spec.TopologySpreadConstraints, spec.Containers[0].Ports = nil, nil, nil
	labels := map[string]string{"app": "agent"}
	w.objects = append(w.objects, &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: w.name}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}})
}

// choose picks the nodes to drain and the flags; one in five drains lacks a
// flag that it might need.
func (w *world) choose() {
	for _, flag := range []string{"--ignore-daemonsets", "--delete-emptydir-data", "--force"} {
		if !w.chance(7) {
			w.flags = append(w.flags, flag)
		}
	}
	if w.chance(5) {
		w.flags = append(w.flags, "--disable-eviction")
	}
	first := w.random.IntN(len(w.nodes))
	w.drain = []string{w.nodes[first].Name}
	if w.chance(30) {
		w.drain = append(w.drain, w.nodes[(first+1)%len(w.nodes)].Name)
	}
}
