package cluster

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

// PodUsage is what the resource metrics API last saw a pod use. It is kept in
// place of its PodMetrics, which takes ten times the memory.
type PodUsage struct {
	Namespace, Pod string
	Containers     []ContainerUsage
}

// ContainerUsage is in cores and bytes.
type ContainerUsage struct {
	Name        string
	CPU, Memory float64
}

// Of is the use of CPU or memory.
func (u ContainerUsage) Of(name corev1.ResourceName) float64 {
	if name == corev1.ResourceCPU {
		return u.CPU
	}
	return u.Memory
}

// podUsages reads PodMetrics and keeps PodUsages.
func podUsages() reading {
	r := typed(PodMetrics, "v1beta1", "PodMetrics", func(*Snapshot) *[]*metricsv1beta1.PodMetrics { return &[]*metricsv1beta1.PodMetrics{} })
	r.keep = func(s *Snapshot, obj runtime.Object) {
		metrics, ok := obj.(*metricsv1beta1.PodMetrics)
		if !ok {
			return
		}
		usage := &PodUsage{Namespace: metrics.Namespace, Pod: metrics.Name, Containers: make([]ContainerUsage, len(metrics.Containers))}
		intern(&usage.Namespace)
		for i, c := range metrics.Containers {
			intern(&c.Name)
			usage.Containers[i] = ContainerUsage{c.Name, c.Usage.Cpu().AsApproximateFloat64(), c.Usage.Memory().AsApproximateFloat64()}
		}
		s.PodUsages = append(s.PodUsages, usage)
	}
	r.each = func(s *Snapshot, do func(metav1.Object)) {
		for _, usage := range s.PodUsages {
			do(usage.metrics())
		}
	}
	return r
}

// metrics is the PodMetrics that the usage was of, as far as it was kept.
func (u *PodUsage) metrics() *metricsv1beta1.PodMetrics {
	metrics := &metricsv1beta1.PodMetrics{ObjectMeta: metav1.ObjectMeta{Namespace: u.Namespace, Name: u.Pod}}
	for _, c := range u.Containers {
		metrics.Containers = append(metrics.Containers, metricsv1beta1.ContainerMetrics{Name: c.Name, Usage: corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(c.CPU*1000+0.5), resource.DecimalSI),
			corev1.ResourceMemory: *resource.NewQuantity(int64(c.Memory), resource.BinarySI),
		}})
	}
	return metrics
}

// UsageOf is what the resource metrics API last saw a pod use; nil when it has no
// sample of it.
func (s *Snapshot) UsageOf(pod *Pod) *PodUsage {
	return s.podUsages()[key{pod.Namespace, pod.Name}]
}
