package cluster

import (
	"maps"
	"reflect"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestPodsOfOneTemplateShareWhatTheyHaveInCommon(t *testing.T) {
	shared := newSharer()
	first, second := replica("web-1", "node-a", "1.0"), replica("web-2", "node-b", "1.0")
	want := second.DeepCopy()
	trim(want)
	for _, pod := range []*corev1.Pod{first, second} {
		trim(pod)
		shared.share(pod)
	}
	if !reflect.DeepEqual(second, want) {
		t.Errorf("sharing changed the pod:\ngot  %+v\nwant %+v", second, want)
	}
	if &first.Spec.Containers[0] != &second.Spec.Containers[0] {
		t.Error("the containers are held twice")
	}
	if reflect.ValueOf(first.Labels).Pointer() != reflect.ValueOf(second.Labels).Pointer() {
		t.Error("the labels are held twice")
	}
}

func TestATemplateItsPodsAndItsServiceShareWhatTheyHaveInCommon(t *testing.T) {
	shared := newSharer()
	pod := replica("web-1", "node-a", "1.0")
	deployment := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: maps.Clone(pod.Labels)},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(pod.Labels)},
			Spec:       corev1.PodSpec{Containers: replica("web-2", "", "1.0").DeepCopy().Spec.Containers},
		},
	}}
	deployment.Spec.Template.Spec.Containers[0].VolumeMounts = nil // admission adds it to pods
	service := &corev1.Service{Spec: corev1.ServiceSpec{Selector: maps.Clone(pod.Labels)}}
	for _, obj := range []runtime.Object{deployment, service, pod} {
		trim(obj)
		shared.share(obj)
	}
	if &deployment.Spec.Template.Spec.Containers[0] != &pod.Spec.Containers[0] {
		t.Error("the containers are held twice")
	}
	for where, labels := range map[string]map[string]string{
		"the selector": deployment.Spec.Selector.MatchLabels, "the template": deployment.Spec.Template.Labels, "the service": service.Spec.Selector,
	} {
		if reflect.ValueOf(labels).Pointer() != reflect.ValueOf(pod.Labels).Pointer() {
			t.Errorf("%s holds the labels once more", where)
		}
	}
}

func TestPodsThatDifferShareNothing(t *testing.T) {
	shared := newSharer()
	first, second := replica("web-1", "node-a", "1.0"), replica("web-2", "node-b", "1.1")
	for _, pod := range []*corev1.Pod{first, second} {
		trim(pod)
		shared.share(pod)
	}
	if got := second.Spec.Containers[0].Image; got != "web:1.1" {
		t.Errorf("got the image %s of another pod", got)
	}
}

func replica(name, node, version string) *corev1.Pod {
	token := serviceAccountVolume + name
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, Labels: map[string]string{"app": "web", "version": "x"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "rs"}},
		},
		Spec: corev1.PodSpec{
			NodeName: node,
			Volumes:  []corev1.Volume{{Name: token}},
			Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: "In", Values: []string{node}}}}},
			}}},
			Containers: []corev1.Container{{
				Name: "web", Image: "web:" + version, VolumeMounts: []corev1.VolumeMount{{Name: token, MountPath: "/token"}},
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
				}},
			}},
		},
	}
}
