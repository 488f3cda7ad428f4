//go:build e2e

package e2e

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// world is a small random cluster: nodes of its own, which only its pods may
// use, and a namespace of its own. Worlds cannot see each other, so that several
// stand in one control plane.
type world struct {
	seed    uint64
	name    string
	nodes   []*corev1.Node
	objects []runtime.Object // in the order of creation
	// unready are workloads of whose pods one is made unready, finished those
	// of whose pods one is made to have succeeded.
	unready, finished []string
	// frozen are budgets that the disruption controller may not count any more,
	// with what is then done to them.
	frozen map[string]frost
	// machine is the real node's name when the world has it as its first node.
	machine string
	flags   []string
	drain   []string // names of the nodes to drain
}

// frost is what becomes of a budget that nobody counts any more.
type frost string

const (
	// stale: its spec changes, and its status is behind.
	stale frost = "stale"
	// crowded: it has more unconfirmed evictions than the API bears.
	crowded frost = "crowded"
)

func newWorld(seed uint64, machine string) *world {
	w := &world{seed: seed, name: fmt.Sprintf("world-%d", seed), frozen: map[string]frost{}, machine: machine}
	w.objects = append(w.objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.name}})
	d := w.dice("shape")
	w.makeNodes(3 + d.IntN(4))
	w.makeStorage()
	w.makeDevices()
	for i := range 3 + d.IntN(6) {
		w.makeWorkload(fmt.Sprintf("app-%d", i))
	}
	if d.chance(50) {
		w.makeDaemonSet()
	}
	if d.chance(25) {
		w.makeRivals()
	}
	if d.chance(15) {
		w.makeMirror()
	}
	w.choose()
	return w
}

// dice are a world's random numbers for one aspect. Each aspect has its own, so
// that a saved seed stays the same world when the generator learns another.
type dice struct{ *rand.Rand }

func (w *world) dice(aspect string) dice {
	h := fnv.New64a()
	_, _ = h.Write([]byte(aspect)) // never fails
	return dice{rand.New(rand.NewPCG(w.seed, h.Sum64()))}
}

func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

// zone is the name of one of the world's zones; zone 0 has always a node.
func (w *world) zone(i int) string { return fmt.Sprintf("%s-%d", w.name, i) }

func (w *world) makeNodes(n int) {
	d := w.dice("nodes")
	zones := 1 + d.IntN(3)
	for i := range n {
		name := fmt.Sprintf("%s-n%d", w.name, i)
		if i == 0 && w.machine != "" {
			name = w.machine
		}
		size := corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(pick(d, "2", "4", "8")), corev1.ResourceMemory: resource.MustParse(pick(d, "4Gi", "8Gi")), corev1.ResourcePods: resource.MustParse(pick(d, "8", "20", "110")),
		}
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
				Labels: map[string]string{"world": w.name, corev1.LabelHostname: name, corev1.LabelTopologyZone: w.zone(i % zones), "size": size.Cpu().String()},
			},
			Status: corev1.NodeStatus{Capacity: size, Allocatable: size},
		}
		// Nobody else's pods may come here: the worlds would see each other.
		node.Spec.Taints = []corev1.Taint{{Key: "world", Value: w.name, Effect: corev1.TaintEffectNoSchedule}}
		if i > 0 && d.chance(15) {
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: "dedicated", Value: "x", Effect: corev1.TaintEffectNoSchedule})
		}
		node.Spec.Unschedulable = i > 1 && d.chance(8) // somebody cordoned it
		w.nodes = append(w.nodes, node)
		if name != w.machine {
			w.objects = append(w.objects, node)
		}
	}
}

// localClass is the class of the world's local volumes, which a claim is bound
// to when its first pod is scheduled.
func (w *world) localClass() string { return w.name + "-local" }

// makeStorage makes local volumes on some nodes.
func (w *world) makeStorage() {
	wait := storagev1.VolumeBindingWaitForFirstConsumer
	w.objects = append(w.objects, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: w.localClass()}, Provisioner: "kubernetes.io/no-provisioner", VolumeBindingMode: &wait})
	d := w.dice("storage")
	for i := range 2 + d.IntN(4) {
		on := corev1.NodeSelectorRequirement{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{pick(d, w.nodes...).Name}}
		volume := newVolume(fmt.Sprintf("%s-local-%d", w.name, i), w.localClass(), on)
		volume.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/mnt/disk"}}
		w.objects = append(w.objects, volume)
	}
}

func newVolume(name, class string, on corev1.NodeSelectorRequirement) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		StorageClassName: class, Capacity: oneGi(), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: provisioner, VolumeHandle: name}},
		NodeAffinity:           &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{on}}}}},
	}}
}

func oneGi() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
}

// deviceDriver is the driver of the devices that some nodes have.
const deviceDriver = "devices.drain.test"

// makeDevices gives some nodes a device or two, as a DRA driver would.
func (w *world) makeDevices() {
	d := w.dice("devices")
	for _, node := range w.nodes {
		if !d.chance(50) {
			continue
		}
		slice := &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: node.Name}, Spec: resourcev1.ResourceSliceSpec{
			Driver: deviceDriver, NodeName: &node.Name, Pool: resourcev1.ResourcePool{Name: node.Name, ResourceSliceCount: 1}}}
		for i := range 1 + d.IntN(2) {
			slice.Spec.Devices = append(slice.Spec.Devices, resourcev1.Device{Name: fmt.Sprintf("device-%d", i)})
		}
		w.objects = append(w.objects, slice)
	}
}

// choose picks the nodes to drain and the flags; one in five drains lacks a
// flag that it might need.
func (w *world) choose() {
	d := w.dice("drain")
	for _, flag := range []string{"--ignore-daemonsets", "--delete-emptydir-data", "--force"} {
		if w.machine != "" || !d.chance(7) {
			w.flags = append(w.flags, flag)
		}
	}
	if d.chance(5) {
		w.flags = append(w.flags, "--disable-eviction")
	}
	if d.chance(10) {
		w.flags = append(w.flags, "--pod-selector=tier="+pick(d, "front", "back"))
	}
	if d.chance(10) {
		w.flags = append(w.flags, "--grace-period=1")
	}
	first := d.IntN(len(w.nodes))
	if w.machine != "" {
		first = 0
	}
	w.drain = []string{w.nodes[first].Name}
	if d.chance(30) {
		w.drain = append(w.drain, w.nodes[(first+1)%len(w.nodes)].Name)
	}
}
