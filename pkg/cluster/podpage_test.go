package cluster

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
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
		got, err := newSharer().decodePods(page)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(byKubernetes(t, kubernetes, page), got); diff != "" {
			t.Fatalf("(- Kubernetes, + we)\n%s", diff)
		}
	}
}

func TestPodsOfAPageShareWhatTheyHaveInCommon(t *testing.T) {
	pods := replicas(filler(t), 2)
	for i := range pods { // as a controller makes them
		pods[i].OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web", UID: "rs"}}
	}
	list, err := newSharer().decodePods(encode(t, &corev1.PodList{Items: pods}))
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
	text, err := runtime.Encode(codecs.LegacyCodec(corev1.SchemeGroupVersion), byKubernetes(t, kubernetes, page))
	if err != nil {
		t.Fatal(err)
	}
	obj, err := (&pages{types: codecs.SupportedMediaTypes(), shared: newSharer()}).decode(text)
	if err != nil {
		t.Fatal(err)
	}
	list, _ := obj.(*corev1.PodList)
	if len(list.Items) != 2 || &list.Items[0].Spec.Containers[0] != &list.Items[1].Spec.Containers[0] {
		t.Errorf("the pods share nothing: %+v", list)
	}
}

// mostPodAllocations are how many times reading one more pod of a known template
// may allocate. It is a count, which no machine changes; Kubernetes' decoder takes
// twice as many.
const mostPodAllocations = 35

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
			if _, err := newSharer().decodePods(page); err != nil {
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

// FuzzPodPage holds that no bytes break the reading of a page, and that it takes
// nothing for pods that Kubernetes does not, and as Kubernetes does.
func FuzzPodPage(f *testing.F) {
	kubernetes := usualProtobuf()
	f.Add(encode(f, &corev1.PodList{Items: []corev1.Pod{*replica("web-1", "node-a", "1"), *replica("web-2", "node-b", "1")}}))
	f.Add([]byte("k8s\x00"))
	f.Add(encode(f, &corev1.Pod{}))
	f.Fuzz(func(t *testing.T, page []byte) {
		if got, err := newSharer().decodePods(page); err == nil {
			if diff := cmp.Diff(byKubernetes(t, kubernetes, page), got); diff != "" {
				t.Errorf("(- Kubernetes, + we)\n%s", diff)
			}
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
			if _, err := newSharer().decodePods(page); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// byKubernetes is a page as Kubernetes decodes it, trimmed and shared.
func byKubernetes(t testing.TB, kubernetes runtime.Decoder, page []byte) *corev1.PodList {
	t.Helper()
	shared := newSharer()
	obj, _, err := kubernetes.Decode(page, nil, nil)
	if err != nil {
		t.Fatalf("Kubernetes does not take it: %v", err)
	}
	list, ok := obj.(*corev1.PodList)
	if !ok {
		t.Fatalf("to Kubernetes it is a %T", obj)
	}
	list.TypeMeta = metav1.TypeMeta{}
	for i := range list.Items {
		trim(&list.Items[i])
		shared.share(&list.Items[i])
	}
	return list
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

func encode(t testing.TB, obj runtime.Object) []byte {
	t.Helper()
	obj.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(strings.TrimPrefix(fmt.Sprintf("%T", obj), "*v1.")))
	var page bytes.Buffer
	if err := usualProtobuf().Encode(obj, &page); err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}
