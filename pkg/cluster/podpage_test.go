package cluster

import (
	"bytes"
	"fmt"
	"math/rand"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/resource"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/randfill"
)

func TestAPageOfPodsIsWhatKubernetesDecodes(t *testing.T) {
	random, kubernetes := filler(t), usualProtobuf()
	for range 200 {
		list := &corev1.PodList{}
		random.Fill(&list.ListMeta)
		for range 3 {
			list.Items = append(list.Items, replicas(random, 3)...)
		}
		page := encode(t, list)
		got, err := podsOf(newPages().decodeProtobuf(page))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(byKubernetes(t, kubernetes, page), got); diff != "" {
			t.Fatalf("(- Kubernetes, + we)\n%s", diff)
		}
	}
}

// TestAPageIsWhatKubernetesDecodes holds every kind whose pages are protobuf.
func TestAPageIsWhatKubernetesDecodes(t *testing.T) {
	random, kubernetes, types := filler(t), usualProtobuf(), readableTypes()
	for _, reading := range readings() {
		kind := reading.gvr.GroupVersion().WithKind(reading.object + "List")
		if reading.form == metadata {
			kind = metav1.SchemeGroupVersion.WithKind("PartialObjectMetadataList")
		}
		if reading.form != whole && reading.form != metadata || reading.kind == Pods {
			continue
		}
		t.Run(string(reading.kind), func(t *testing.T) {
			list, err := types.New(kind)
			if err != nil {
				t.Fatal(err)
			}
			random.Fill(list)
			list.GetObjectKind().SetGroupVersionKind(kind)
			page := encode(t, list)
			got, err := newPages().decodeProtobuf(page)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decodedByKubernetes(t, kubernetes, page), got); diff != "" {
				t.Errorf("(- Kubernetes, + we)\n%s", diff)
			}
		})
	}
}

// well is the status of a pod that is, since so many seconds.
func well(seconds int64) corev1.PodStatus {
	at := func(more int64) metav1.Time { return metav1.Unix(1764000000+seconds+more, 0) }
	began := at(1)
	condition := func(kind corev1.PodConditionType, more int64) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at(more)}
	}
	return corev1.PodStatus{
		Phase: corev1.PodRunning, QOSClass: corev1.PodQOSBurstable, HostIP: "10.0.0.9", HostIPs: []corev1.HostIP{{IP: "10.0.0.9"}},
		PodIP: fmt.Sprintf("10.1.0.%d", seconds), PodIPs: []corev1.PodIP{{IP: "10.1.0.1"}}, StartTime: &began,
		Conditions: []corev1.PodCondition{
			condition(corev1.PodReadyToStartContainers, 2), condition(corev1.PodInitialized, 1), condition(corev1.PodReady, 9),
			condition(corev1.ContainersReady, 9), condition(corev1.PodScheduled, 0),
		},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: "web", Image: "web:1", ImageID: "sha256:1", ContainerID: fmt.Sprintf("containerd://%d", seconds), Ready: true, Started: new(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(3)}},
		}},
	}
}

func TestOfPodsInOneStateTheStateIsKeptOnce(t *testing.T) {
	kubernetes := usualProtobuf()
	for name, test := range map[string]struct {
		change func(*corev1.PodStatus)
		shared bool
	}{
		"both are well": {func(*corev1.PodStatus) {}, true},
		"one restarted": {func(s *corev1.PodStatus) { s.ContainerStatuses[0].RestartCount = 3 }, false},
		"one crashed before": {func(s *corev1.PodStatus) {
			s.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, FinishedAt: metav1.Unix(1764000001, 0)}
		}, false},
		"one is not ready": {func(s *corev1.PodStatus) {
			s.Conditions[2].Status, s.Conditions[2].Reason = "False", "ContainersNotReady"
		}, false},
		"one is to be evicted": {func(s *corev1.PodStatus) {
			s.Conditions = append(s.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: "True", LastTransitionTime: metav1.Unix(1764000009, 0)})
		}, false},
		"one is being resized": {func(s *corev1.PodStatus) {
			has := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
			s.ContainerStatuses[0].AllocatedResources, s.ContainerStatuses[0].Resources = has, &corev1.ResourceRequirements{Requests: has}
		}, false},
		"one waits": {func(s *corev1.PodStatus) {
			s.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := replica("web-1", "node-a", "1"), replica("web-2", "node-b", "1")
			first.Status, second.Status = well(0), well(60)
			test.change(&second.Status)
			page := encode(t, &corev1.PodList{Items: []corev1.Pod{*first, *second}})
			got, err := podsOf(newPages().decodeProtobuf(page))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(byKubernetes(t, kubernetes, page), got); diff != "" {
				t.Errorf("(- Kubernetes, + we)\n%s", diff)
			}
			if shared := got.Items[0].Status.PodStatus == got.Items[1].Status.PodStatus; shared != test.shared {
				t.Errorf("the state is kept once: %v, want %v", shared, test.shared)
			}
			trim(second)
			for i := range second.Status.Conditions {
				if c := &second.Status.Conditions[i]; c.Type == corev1.PodScheduled && got.Items[1].IsReady() {
					c.LastTransitionTime = metav1.Time{} // nobody asks
				}
			}
			if diff := cmp.Diff(second.Status, got.Items[1].Whole().Status); diff != "" {
				t.Errorf("made whole, it is another (- before, + after)\n%s", diff)
			}
		})
	}
}

func TestPodsOfAPageShareWhatTheyHaveInCommon(t *testing.T) {
	pods := replicas(filler(t), 2)
	for i := range pods { // as a controller makes them
		pods[i].OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web", UID: "rs"}}
	}
	list, err := podsOf(newPages().decodeProtobuf(encode(t, &corev1.PodList{Items: pods})))
	if err != nil {
		t.Fatal(err)
	}
	first, second := list.Items[0], list.Items[1]
	if &first.Spec.Containers[0] != &second.Spec.Containers[0] {
		t.Error("the containers are held twice")
	}
	if &first.OwnerReferences[0] != &second.OwnerReferences[0] {
		t.Error("the owner is held twice")
	}
	if first.Spec.NodeName == second.Spec.NodeName {
		t.Error("both run on one node: the test shows nothing")
	}
}

// TestAPageOfPodsInJSON holds the way of servers without protobuf.
func TestAPageOfPodsInJSON(t *testing.T) {
	page, kubernetes := encode(t, &corev1.PodList{Items: replicas(filler(t), 2)}), usualProtobuf()
	codecs := serializer.NewCodecFactory(readableTypes())
	text, err := runtime.Encode(codecs.LegacyCodec(corev1.SchemeGroupVersion), decodedByKubernetes(t, kubernetes, page))
	if err != nil {
		t.Fatal(err)
	}
	obj, err := newPages().decode(text)
	if err != nil {
		t.Fatal(err)
	}
	list, _ := obj.(*corev1.PodList)
	if len(list.Items) != 2 || &list.Items[0].Spec.Containers[0] != &list.Items[1].Spec.Containers[0] {
		t.Errorf("the pods share nothing: %+v", list)
	}
}

// mostPodAllocations are how many times reading one more pod of a known template
// may allocate: 13, and up to 17 under the race detector, which makes pools forget.
// It is a count, which no machine changes; Kubernetes' decoder takes five times as many.
const mostPodAllocations = 18

func TestAPodOfAKnownTemplateIsReadWithFewAllocations(t *testing.T) {
	page := func(pods int) []byte {
		list := &corev1.PodList{}
		for i := range pods {
			pod := replica(fmt.Sprintf("web-%d", i), fmt.Sprintf("node-%d", i), "1.0")
			pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsV1: metav1.NewFieldsV1("{}")}}
			pod.Status = corev1.PodStatus{
				Phase: corev1.PodRunning, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}},
				Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.PodInitialized, Status: corev1.ConditionTrue}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Image: "web:1.0", ImageID: "sha256:1", ContainerID: "containerd://1", Ready: true}},
			}
			list.Items = append(list.Items, *pod)
		}
		return encode(t, list)
	}
	allocations := func(page []byte) float64 {
		return testing.AllocsPerRun(10, func() {
			if _, err := newPages().decodeProtobuf(page); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many, kubernetes := page(100), page(500), usualProtobuf()
	one := (allocations(many) - allocations(few)) / 400
	usual := testing.AllocsPerRun(10, func() { byKubernetes(t, kubernetes, many) }) / 500
	t.Logf("%.1f allocations a pod, and %.1f with Kubernetes' decoder", one, usual)
	if one > mostPodAllocations {
		t.Errorf("%.1f allocations a pod, and at most %d are due", one, mostPodAllocations)
	}
}

// mostPodBytes are what one more pod of a known template may take of memory, once
// it is read. A corev1.Pod alone takes 1,240, and with its own status 2,500.
const mostPodBytes = 600

func TestAPodOfAKnownTemplateTakesLittleMemory(t *testing.T) {
	const pods = 20_000
	pages := newPages()
	var kept []*Pod
	read := func(from int) {
		list := &corev1.PodList{}
		for i := range pageSize {
			pod := replica(fmt.Sprintf("web-6d4b75cb6d-%05d", from+i), fmt.Sprintf("node-%d", i), "1.0")
			pod.Spec.Affinity = nil // a DaemonSet's pods have their own
			pod.UID, pod.Status = types.UID(fmt.Sprintf("0b6d3f4e-5a1c-4d2e-9f3a-%012d", from+i)), well(int64(from+i))
			list.Items = append(list.Items, *pod)
		}
		got, err := podsOf(pages.decodeProtobuf(encode(t, list)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range got.Items {
			kept = append(kept, &got.Items[i])
		}
	}
	read(0)
	before := heap()
	for from := pageSize; from <= pods; from += pageSize {
		read(from)
	}
	one := (heap() - before) / pods
	t.Logf("%d bytes a pod", one)
	if one > mostPodBytes {
		t.Errorf("a pod more takes %d bytes, and at most %d are due", one, mostPodBytes)
	}
	goruntime.KeepAlive(kept)
}

// heap is how many bytes are alive.
func heap() int64 {
	goruntime.GC()
	var stats goruntime.MemStats
	goruntime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// FuzzPage holds that no bytes break the reading of a page, and that what is
// taken for pods, or another kind, Kubernetes takes for the same. What is dropped
// unread, such as managed fields, Kubernetes may find broken.
func FuzzPage(f *testing.F) {
	kubernetes, usual := usualProtobuf(), newPages()
	f.Add(encode(f, &corev1.PodList{Items: []corev1.Pod{*replica("web-1", "node-a", "1"), *replica("web-2", "node-b", "1")}}))
	first, second := replica("web-1", "node-a", "1"), replica("web-2", "node-b", "1")
	first.Status, second.Status = well(0), well(60)
	f.Add(encode(f, &corev1.PodList{Items: []corev1.Pod{*first, *second}}))
	f.Add([]byte("k8s\x00"))
	f.Add(encode(f, &corev1.Pod{}))
	f.Add(encode(f, &corev1.ServiceList{Items: []corev1.Service{{ObjectMeta: metav1.ObjectMeta{Name: "web"}}}}))
	f.Fuzz(func(t *testing.T, page []byte) {
		pages := *usual
		pages.shared = newSharer()
		got, err := pages.decodeProtobuf(page)
		if err != nil {
			return
		}
		if _, _, err := kubernetes.Decode(page, nil, nil); err != nil {
			return
		}
		var want runtime.Object
		if _, pods := got.(*ownList[Pod]); pods {
			want = byKubernetes(t, kubernetes, page)
		} else {
			want = decodedByKubernetes(t, kubernetes, page)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(- Kubernetes, + we)\n%s", diff)
		}
	})
}

// BenchmarkPodPage prints what a page takes in time and allocations, of what
// Kubernetes' decoder takes with trimming and sharing after it.
func BenchmarkPodPage(b *testing.B) {
	random, kubernetes := filler(b), usualProtobuf()
	list := &corev1.PodList{}
	for range 25 {
		list.Items = append(list.Items, replicas(random, 20)...)
	}
	page := encode(b, list)
	b.Run("kubernetes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			byKubernetes(b, kubernetes, page)
		}
	})
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := newPages().decodeProtobuf(page); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// byKubernetes is a page as Kubernetes decodes it, trimmed and shared.
func byKubernetes(t testing.TB, kubernetes runtime.Decoder, page []byte) *ownList[Pod] {
	t.Helper()
	shared := newSharer()
	list, ok := decodedByKubernetes(t, kubernetes, page).(*corev1.PodList)
	if !ok {
		t.Fatal("it is no list of pods")
	}
	own := &ownList[Pod]{ListMeta: list.ListMeta}
	for i := range list.Items {
		trim(&list.Items[i])
		shared.share(&list.Items[i])
		own.Items = append(own.Items, *newPod(&list.Items[i]))
	}
	return own
}

// decodedByKubernetes is a page as it is, without the kind that the decoder adds.
func decodedByKubernetes(t testing.TB, kubernetes runtime.Decoder, page []byte) runtime.Object {
	t.Helper()
	obj, _, err := kubernetes.Decode(page, nil, nil)
	if err != nil {
		t.Fatalf("Kubernetes does not take it: %v", err)
	}
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return obj
}

// podsOf are the pods of what was decoded.
func podsOf(obj runtime.Object, err error) (*ownList[Pod], error) {
	list, ok := obj.(*ownList[Pod])
	if err == nil && !ok {
		err = fmt.Errorf("it is a %T", obj)
	}
	return list, err
}

func newPages() *pages {
	types := readableTypes()
	return &pages{types: types, decoder: serializer.NewCodecFactory(types).SupportedMediaTypes(), shared: newSharer()}
}

// replicas are pods of one random template, each with what is its own.
func replicas(random *randfill.Filler, n int) []corev1.Pod {
	var template corev1.Pod
	random.Fill(&template)
	template.TypeMeta = metav1.TypeMeta{} // not in protobuf
	template.Spec.Containers = append(template.Spec.Containers, corev1.Container{Name: "web", Image: "web:1"})
	var pods []corev1.Pod
	for i := range n {
		pod := template.DeepCopy()
		pod.Name, pod.UID = fmt.Sprintf("web-%d", i), "uid"
		pod.Spec.NodeName, pod.Spec.Hostname = fmt.Sprintf("node-%d", i), pod.Name
		random.Fill(&pod.Status)
		random.Fill(&pod.Spec.Affinity)
		token := fmt.Sprintf("%s%05d", serviceAccountVolume, i)
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: token})
		for j := range pod.Spec.Containers {
			c := &pod.Spec.Containers[j]
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: token, MountPath: "/token"})
		}
		pods = append(pods, *pod)
	}
	return pods
}

func filler(t testing.TB) *randfill.Filler {
	t.Helper()
	return fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(1), serializer.NewCodecFactory(readableTypes()))
}

func usualProtobuf() runtime.Serializer {
	return protobuf.NewSerializer(readableTypes(), readableTypes())
}

// encode is an object as the API server sends it. Objects without a kind are of
// core/v1.
func encode(t testing.TB, obj runtime.Object) []byte {
	t.Helper()
	if obj.GetObjectKind().GroupVersionKind().Empty() {
		obj.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(strings.TrimPrefix(fmt.Sprintf("%T", obj), "*v1.")))
	}
	var page bytes.Buffer
	if err := usualProtobuf().Encode(obj, &page); err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}
