package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestReservedAddsUpWhatTheSchedulerReserves(t *testing.T) {
	const node = "node-a"
	plain, twin, heavy, resized, ended := replica("web-1", node, "1.0"), replica("web-2", node, "1.0"), replica("web-3", node, "1.0"), replica("web-4", node, "1.0"), replica("web-5", node, "1.0")
	twin.Spec.Containers = plain.Spec.Containers
	heavy.Spec.Containers = plain.Spec.Containers
	heavy.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m")}
	resized.Spec.Containers = plain.Spec.Containers // from 300m down to 100m, and not there yet
	resized.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "web", AllocatedResources: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("300m")},
	}}
	ended.Status.Phase = corev1.PodSucceeded
	s := (&Snapshot{
		Nodes: []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: node}}},
		Pods:  []*Pod{newPod(plain), newPod(twin), newPod(heavy), newPod(resized), newPod(ended)},
	}).complete()
	got := s.ReservedOn(node)
	if cpu := got.Requests[corev1.ResourceCPU]; got.Pods != 4 || cpu.MilliValue() != 100+100+150+300 {
		t.Errorf("%d pods that request %s, and there are 4 that request 650m", got.Pods, cpu.String())
	}
}
