package drain

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	kubectldrain "k8s.io/kubectl/pkg/drain"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// TestTheFiltersAreKubectls holds ours against kubectl drain's own, over every
// combination of pod and flags: what kubectl refuses for its first reason is
// among our reasons, and the same pods go, stay, or are refused.
func TestTheFiltersAreKubectls(t *testing.T) {
	daemonSet := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "default"}}
	owned := func(kind, name string) []metav1.OwnerReference {
		yes := true
		return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, Controller: &yes}}
	}
	emptyDir := []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	long := metav1.NewTime(time.Now().Add(-time.Hour))
	pods := map[string]corev1.Pod{}
	for _, owner := range []struct {
		name string
		refs []metav1.OwnerReference
	}{{"bare", nil}, {"replica", owned("ReplicaSet", "web")}, {"daemon", owned("DaemonSet", "agent")}, {"orphan", owned("DaemonSet", "gone")}} {
		for _, volumes := range [][]corev1.Volume{nil, emptyDir} {
			for _, phase := range []corev1.PodPhase{corev1.PodRunning, corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed} {
				for _, extra := range []string{"", "mirror", "terminating"} {
					pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", OwnerReferences: owner.refs}, Spec: corev1.PodSpec{NodeName: "n", Volumes: volumes}, Status: corev1.PodStatus{Phase: phase}}
					switch extra {
					case "mirror":
						pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
					case "terminating":
						pod.DeletionTimestamp, pod.Finalizers = &long, []string{"x/y"}
					}
					pod.Name = strings.ToLower(strings.Join([]string{owner.name, string(phase), extra, map[bool]string{true: "scratch", false: "plain"}[volumes != nil]}, "-"))
					pods[pod.Name] = pod
				}
			}
		}
	}
	for flags := range 16 {
		o := Options{Force: flags&1 > 0, DeleteEmptyDirData: flags&2 > 0, IgnoreDaemonSets: flags&4 > 0, GracePeriod: -1}
		if flags&8 > 0 {
			o.SkipWaitForDelete = 60
		}
		for name, pod := range pods {
			client := fake.NewClientset(daemonSet, &pod)
			helper := &kubectldrain.Helper{Client: client, Force: o.Force, DeleteEmptyDirData: o.DeleteEmptyDirData, IgnoreAllDaemonSets: o.IgnoreDaemonSets, SkipWaitForDeleteTimeoutSeconds: o.SkipWaitForDelete}
			list, errs := helper.GetPodsForDeletion("n")
			got := o.filter(time.Now(), func(ref cluster.Ref) bool { return ref.Name == daemonSet.Name }, &pod)
			if want := len(errs) > 0; want != (len(got.refusals) > 0) {
				t.Errorf("%s with %+v: refused %v, kubectl says %v", name, o, got.refusals, errs)
				continue
			}
			for _, err := range errs {
				if !slices.ContainsFunc(got.refusalTexts(), func(text string) bool { return strings.Contains(err.Error(), text) }) {
					t.Errorf("%s with %+v: refused in other words: %v, kubectl says %v", name, o, got.refusals, err)
				}
			}
			if goes := len(list.Pods()) > 0; len(errs) == 0 && goes == got.skip {
				t.Errorf("%s with %+v: skipped %t, kubectl takes it %t", name, o, got.skip, goes)
			}
		}
	}
}

func (f filtered) refusalTexts() []string {
	var texts []string
	for _, r := range f.refusals {
		texts = append(texts, r.Message)
	}
	return texts
}
