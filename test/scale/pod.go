package main

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// podSpec is as long as pod specs are: variables, probes, volumes and, for
// every third app, a proxy beside it.
func (a app) podSpec() corev1.PodSpec {
	spec := basePodSpec(a.name)
	spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector: &metav1.LabelSelector{MatchLabels: a.selector()},
	}}
	spec.Volumes = []corev1.Volume{
		{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: a.name}}}},
		{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(resource.MustParse("64Mi"))}}},
	}
	spec.Containers = []corev1.Container{a.container()}
	if a.ordinal%3 == 0 {
		spec.Containers = append(spec.Containers, proxyContainer())
	}
	return spec
}

// basePodSpec meets the restricted Pod Security level.
func basePodSpec(serviceAccount string) corev1.PodSpec {
	return corev1.PodSpec{
		ServiceAccountName:           serviceAccount,
		AutomountServiceAccountToken: new(false),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   new(true),
			RunAsUser:      new(int64(10001)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

func (a app) container() corev1.Container {
	c := baseContainer("app", "registry.example.com/"+a.team.name+"/"+a.name+":"+a.version(), "50m", "128Mi")
	c.Args = []string{"--config=/etc/app/application.yaml", "--listen=:8080", "--metrics=:9090"}
	c.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "metrics", ContainerPort: 9090}}
	c.Env = a.variables()
	c.VolumeMounts = []corev1.VolumeMount{{Name: "config", MountPath: "/etc/app", ReadOnly: true}, {Name: "tmp", MountPath: "/tmp"}}
	c.ReadinessProbe = httpProbe("/ready", "http")
	c.LivenessProbe = httpProbe("/live", "http")
	c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}}
	switch a.fault {
	case noMemoryLimit:
		delete(c.Resources.Limits, corev1.ResourceMemory)
	case noProbes:
		c.ReadinessProbe, c.LivenessProbe = nil, nil
	case latestImage:
		c.Image = "registry.example.com/" + a.team.name + "/" + a.name + ":latest"
	case privileged:
		c.SecurityContext = &corev1.SecurityContext{Privileged: new(true), RunAsUser: new(int64(0)), RunAsNonRoot: new(false)}
	}
	return c
}

func (a app) variables() []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	all := []corev1.EnvVar{field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace"), field("POD_IP", "status.podIP")}
	for i := range 9 {
		all = append(all, corev1.EnvVar{Name: fmt.Sprintf("UPSTREAM_%d_URL", i), Value: fmt.Sprintf("http://app-%02d.%s.svc:80/v1", i, a.team.name)})
	}
	return append(all, corev1.EnvVar{Name: "DATABASE_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: "database"}, Key: "password",
	}}})
}

func proxyContainer() corev1.Container {
	c := baseContainer("proxy", "registry.example.com/mesh/proxy:3.2.1", "10m", "64Mi")
	c.Args = []string{"--listen=:15001", "--log-level=warn"}
	c.Ports = []corev1.ContainerPort{{Name: "proxy", ContainerPort: 15001}}
	c.ReadinessProbe = httpProbe("/healthz", "proxy")
	return c
}

func baseContainer(name, image, cpu, memory string) corev1.Container {
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	return corev1.Container{
		Name:  name,
		Image: image,
		Resources: corev1.ResourceRequirements{
			Requests: requests,
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

func httpProbe(path, port string) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(port)}},
		PeriodSeconds: 10, TimeoutSeconds: 2, FailureThreshold: 3,
	}
}

// settingsText is a ConfigMap's worth of settings, some 2 KB.
func settingsText(name string) string {
	lines := slices.Repeat([]string{"  pool: {min: 4, max: 64, idle: 30s, acquire: 2s}"}, 40)
	return "name: " + name + "\nupstreams:\n" + strings.Join(lines, "\n") + "\n"
}
