package resources

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// sample is what one container of one pod used when the resource metrics API
// last looked.
type sample struct {
	pod       *cluster.Pod
	container *corev1.Container
	used      cluster.ContainerUsage
}

// containerSamples are the samples of one container over a Workload's pods.
type containerSamples struct {
	name    string
	path    string // in Self, or "" for a container that admission added
	samples []sample
}

// sampled are a Workload's samples by container, of running pods that started
// at least warm ago: what a program does in its first minutes says little.
func sampled(s *cluster.Snapshot, w *cluster.Workload, warm time.Duration) []containerSamples {
	var all []containerSamples
	for _, pod := range w.Pods {
		usage := s.UsageOf(pod)
		if usage == nil || pod.Status.Phase != corev1.PodRunning || pod.Status.StartTime == nil || s.Time.Sub(pod.Status.StartTime.Time) < warm {
			continue
		}
		for _, used := range usage.Containers {
			container := containerOf(pod, used.Name)
			if container == nil || cluster.IsInjected(&pod.ObjectMeta, used.Name) {
				continue
			}
			at := slices.IndexFunc(all, func(c containerSamples) bool { return c.name == used.Name })
			if at < 0 {
				at = len(all)
				all = append(all, containerSamples{name: used.Name, path: pathOf(w, used.Name)})
			}
			all[at].samples = append(all[at].samples, sample{pod, container, used})
		}
	}
	return all
}

func containerOf(pod *cluster.Pod, name string) *corev1.Container {
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			if containers[i].Name == name {
				return &containers[i]
			}
		}
	}
	return nil
}

func pathOf(w *cluster.Workload, container string) string {
	for c := range w.Containers() {
		if c.Name == container {
			return c.Path
		}
	}
	return ""
}

// needed is a resource of a container over a Workload's pods: what they
// requested and used together.
type needed struct {
	pods            int
	requested, used float64
}

// against adds up a container's samples against their requests; pods without a
// request are another practice's.
func (c containerSamples) against(name corev1.ResourceName) needed {
	var n needed
	for _, one := range c.samples {
		if request, ok := one.container.Resources.Requests[name]; ok && !request.IsZero() {
			n.pods++
			n.requested += number(request)
			n.used += one.used.Of(name)
		}
	}
	return n
}

// runsOn reports whether a Workload's pods stay, so that a sample of them means
// something tomorrow.
func runsOn(w *cluster.Workload) bool { return w.Self.Kind != "Job" && w.Self.Kind != "CronJob" }
