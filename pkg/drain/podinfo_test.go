package drain

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// TestPodsAlikeAreWeighedOnce holds shared answers to what the scheduler makes of
// each pod for itself.
func TestPodsAlikeAreWeighedOnce(t *testing.T) {
	spec := &corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")},
	}}}}
	well := &corev1.PodStatus{Phase: corev1.PodRunning}
	resized := &corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "app", Resources: &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}},
	}}}
	apart := &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
		TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
	}}}
	pod := func(namespace, name string, status *corev1.PodStatus, apart *corev1.PodAntiAffinity) *cluster.Pod {
		kept := &cluster.Pod{}
		kept.Namespace, kept.Name = namespace, name
		kept.Spec.PodSpec, kept.Status.PodStatus = spec, status
		if apart != nil {
			kept.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: apart} // each its own, around what is shared
		}
		return kept
	}
	infos := podInfos{}
	for _, kept := range []*cluster.Pod{
		pod("shop", "web-1", well, nil), pod("shop", "web-2", well, nil), pod("shop", "web-3", resized, nil), pod("shop", "web-4", resized, nil),
		pod("shop", "web-5", well, apart), pod("shop", "web-6", well, apart), pod("till", "web-7", well, apart), pod("till", "web-8", well, apart),
	} {
		whole := kept.Whole()
		got, want := infos.of(kept, whole), newPodInfo(whole)
		if got.Pod != whole {
			t.Errorf("%s/%s is taken for %s/%s", kept.Namespace, kept.Name, got.Pod.Namespace, got.Pod.Name)
		}
		if diff := cmp.Diff(want.CalculateResource(), got.CalculateResource()); diff != "" {
			t.Errorf("what %s/%s requests (-scheduler +ours):\n%s", kept.Namespace, kept.Name, diff)
		}
		if diff := cmp.Diff(away(want), away(got)); diff != "" {
			t.Errorf("whom %s/%s keeps away from (-scheduler +ours):\n%s", kept.Namespace, kept.Name, diff)
		}
	}
	if len(infos) != 4 {
		t.Errorf("8 pods of 4 kinds were weighed %d times", len(infos))
	}
}

// away is in which namespaces a pod keeps which others away, and from where.
func away(info *framework.PodInfo) []string {
	var all []string
	for _, term := range info.GetRequiredAntiAffinityTerms() {
		all = append(all, fmt.Sprint(sets.List(term.Namespaces), term.Selector, term.TopologyKey))
	}
	return all
}
