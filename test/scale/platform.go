package main

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// platform is the namespace of what runs on every node.
const platform = "platform"

func platformNamespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: platform, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}}}
}

func platformDaemons() []*appsv1.DaemonSet {
	return []*appsv1.DaemonSet{platformDaemon("node-exporter", "32Mi"), platformDaemon("log-collector", "256Mi")}
}

func platformDaemon(name, memory string) *appsv1.DaemonSet {
	labels := map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": platform}
	spec := basePodSpec(name)
	spec.PriorityClassName = critical
	spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	spec.Volumes = []corev1.Volume{{Name: "logs", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/var/log"}}}}
	container := baseContainer(name, "registry.example.com/platform/"+name+":1.9.0", "20m", memory)
	container.VolumeMounts = []corev1.VolumeMount{{Name: "logs", MountPath: "/var/log", ReadOnly: true}}
	spec.Containers = []corev1.Container{container}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: platform, Name: name, Labels: labels},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}
