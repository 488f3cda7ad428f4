package pitfalls

import (
	"fmt"
	"math"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// headroom is how many times today's greatest need a new quota allows.
const headroom = 1.5

// createQuota bounds a namespace by what its workloads may want at once.
func createQuota(s *cluster.Snapshot, f practice.Finding) practice.Proposal {
	const name = "compute"
	namespace := f.Object.Name
	if slices.ContainsFunc(s.ResourceQuotas, func(q *corev1.ResourceQuota) bool { return q.Namespace == namespace && q.Name == name }) {
		return practice.Refuse("a ResourceQuota named %s is there already, and bounds other things: add CPU and memory to it by hand", name)
	}
	cpu, memory, pods := 0.0, 0.0, int64(0)
	for _, w := range s.WorkloadsIn(namespace) {
		most, why := mostPods(s, w)
		if why != "" {
			return practice.Refuse("%s", why)
		}
		request, why := requestOf(s, w)
		if why != "" {
			return practice.Refuse("%s", why)
		}
		cpu += float64(most) * request.Cpu().AsApproximateFloat64()
		memory += float64(most) * request.Memory().AsApproximateFloat64()
		pods += most
	}
	const gib = 1 << 30
	hard := map[string]any{
		"requests.cpu":    resource.NewQuantity(int64(math.Ceil(cpu*headroom)), resource.DecimalSI).String(),
		"requests.memory": resource.NewQuantity(int64(math.Ceil(memory*headroom/gib))*gib, resource.BinarySI).String(),
	}
	return practice.Propose(change.Change{
		Object: cluster.Ref{APIVersion: "v1", Kind: "ResourceQuota", Namespace: namespace, Name: name},
		Create: map[string]any{"spec": map[string]any{"hard": hard}},
	}).Because("its workloads (%d) may want %d pods at once, which request %.2f cores and %.2f GiB; × %.1f, rounded up", len(s.WorkloadsIn(namespace)), pods, cpu, memory/gib, headroom).
		Risking("what grows beyond it is refused, and so are pods of containers that request nothing")
}

// mostPods is how many pods of a Workload there may be at once, or why that is
// not known.
func mostPods(s *cluster.Snapshot, w *cluster.Workload) (most int64, why string) {
	switch {
	case w.Self.Kind == "DaemonSet" && len(s.Nodes) == 0:
		return 0, fmt.Sprintf("%s runs a pod on each node, and how many there are is not known", w.Self)
	case w.Self.Kind == "DaemonSet":
		return int64(len(s.Nodes)), ""
	case w.Scaler != "" && w.Autoscaler == nil:
		return 0, fmt.Sprintf("%s scales %s, and how far is not known", w.Scaler, w.Self)
	case !w.HasReplicas():
		return max(1, int64(len(w.Pods))), ""
	}
	count := *w.Replicas
	if w.Autoscaler != nil {
		count = max(count, w.Autoscaler.Spec.MaxReplicas)
	}
	return max(int64(count)+surge(w, count), int64(len(w.Pods))), ""
}

// surge is how many pods a Deployment's rollout adds to a count, a quarter
// unless it says otherwise (kubernetes: pkg/apis/apps/v1, SetDefaults_Deployment).
func surge(w *cluster.Workload, count int32) int64 {
	if w.Strategy == nil || w.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return 0
	}
	extra := intstr.FromString("25%")
	if rolling := w.Strategy.RollingUpdate; rolling != nil && rolling.MaxSurge != nil {
		extra = *rolling.MaxSurge
	}
	more, err := intstr.GetScaledValueFromIntOrPercent(&extra, int(count), true)
	if err != nil {
		return int64(count)
	}
	return int64(more)
}

// requestOf is what the scheduler reserves for one pod of a Workload, or why
// a quota would refuse it: under one on requests, each container must have them
// (kubernetes: pkg/quota/v1/evaluator/core/pods.go, Constraints).
func requestOf(s *cluster.Snapshot, w *cluster.Workload) (corev1.ResourceList, string) {
	pod := &corev1.Pod{Spec: *w.Template.Spec.DeepCopy()}
	for c := range w.Containers() {
		effective := s.Resources(c)
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if _, requested := effective.Requests[name]; !requested && w.Template.Spec.Resources == nil {
				return nil, fmt.Sprintf("container %q of %s requests no %s, so that a quota would refuse its next pod: set its requests first", c.Name, w.Self, name)
			}
		}
		for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range containers {
				if containers[i].Name == c.Name {
					containers[i].Resources = effective
				}
			}
		}
	}
	return cluster.PodRequests(pod), ""
}

// createLimitRange gives the next forgetful container something, and takes
// nothing from the present ones.
func createLimitRange(s *cluster.Snapshot, f practice.Finding) practice.Proposal {
	const name = "defaults"
	namespace := f.Object.Name
	if slices.ContainsFunc(s.LimitRanges, func(lr *corev1.LimitRange) bool { return lr.Namespace == namespace && lr.Name == name }) {
		return practice.Refuse("a LimitRange named %s is there already, and sets no default for containers: add one by hand", name)
	}
	containers := 0
	for _, w := range s.WorkloadsIn(namespace) {
		for c := range w.Containers() {
			containers++
			effective := s.Resources(c)
			if _, limited := effective.Limits[corev1.ResourceMemory]; !limited {
				return practice.Refuse("container %q of %s has no memory limit: the default would become its limit at its next restart, and may kill it; set its own first", c.Name, w.Self)
			}
			if _, requested := effective.Requests[corev1.ResourceCPU]; !requested {
				return practice.Refuse("container %q of %s requests no CPU: the default would become its request at its next restart; set its own first", c.Name, w.Self)
			}
		}
	}
	return practice.Propose(change.Change{
		Object: cluster.Ref{APIVersion: "v1", Kind: "LimitRange", Namespace: namespace, Name: name},
		Create: map[string]any{"spec": map[string]any{"limits": []any{map[string]any{
			"type":           string(corev1.LimitTypeContainer),
			"defaultRequest": map[string]any{"cpu": "100m", "memory": "128Mi"},
			"default":        map[string]any{"memory": "512Mi"},
		}}}},
	}).Because("each of its containers (%d) sets a memory limit and requests of its own, so that the defaults change none of them", containers).
		Risking("a Job's or an operator's next pod without a memory limit gets 512Mi")
}
