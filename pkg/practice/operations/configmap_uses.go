package operations

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// uses is what pods and templates refer to, by namespace.
type uses struct {
	named map[key]bool
	// text is all free text of a namespace in which a name may be mentioned,
	// each piece once.
	text map[string]map[string]bool
}

type key struct{ namespace, name string }

// configMapUses gathers the ConfigMaps that pods, templates, Jobs and the custom
// resources at hand refer to.
// Pods count beside their workload's template: they may run an older one.
func configMapUses(s *cluster.Snapshot) uses {
	u := uses{named: map[key]bool{}, text: map[string]map[string]bool{}}
	for _, w := range s.Workloads() {
		u.spec(w.Self.Namespace, &w.Template.Spec)
		u.mentions(w)
	}
	for namespace, spec := range s.PodSpecs() {
		u.spec(namespace, spec)
	}
	for _, job := range s.Jobs {
		u.spec(job.Namespace, &job.Spec.Template.Spec)
	}
	for object := range s.Systems() {
		u.note(object.GetNamespace(), stringsIn(object)...)
	}
	return u
}

// namingKinds are the custom resources in which ConfigMaps and Secrets are
// named; those that hold a pod template name them there.
func namingKinds() []cluster.Kind {
	return append([]cluster.Kind{
		cluster.PodTemplates, cluster.Gateways, cluster.Prometheuses, cluster.Alertmanagers, cluster.AlertmanagerConfigs, cluster.Collectors, cluster.Elasticsearches,
		cluster.VeleroLocations, cluster.VeleroBackups, cluster.VeleroSchedules, cluster.CloudNativePGClusters,
	}, gitOpsKinds()...)
}

// of reports whether a ConfigMap is referred to, or mentioned by name in its
// own namespace, or as namespace/name anywhere.
func (u uses) of(namespace, name string) bool {
	if u.named[key{namespace, name}] {
		return true
	}
	full := namespace + "/" + name
	for from, pieces := range u.text {
		for text := range pieces {
			if from == namespace && strings.Contains(text, name) || strings.Contains(text, full) {
				return true
			}
		}
	}
	return false
}

func (u uses) spec(namespace string, spec *corev1.PodSpec) {
	for _, volume := range spec.Volumes {
		if volume.ConfigMap != nil {
			u.named[key{namespace, volume.ConfigMap.Name}] = true
		}
		if volume.Projected != nil {
			for _, source := range volume.Projected.Sources {
				if source.ConfigMap != nil {
					u.named[key{namespace, source.ConfigMap.Name}] = true
				}
			}
		}
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			u.environment(namespace, containers[i].Env, containers[i].EnvFrom)
		}
	}
	for i := range spec.EphemeralContainers {
		u.environment(namespace, spec.EphemeralContainers[i].Env, spec.EphemeralContainers[i].EnvFrom)
	}
}

func (u uses) environment(namespace string, env []corev1.EnvVar, from []corev1.EnvFromSource) {
	for _, variable := range env {
		if variable.ValueFrom != nil && variable.ValueFrom.ConfigMapKeyRef != nil {
			u.named[key{namespace, variable.ValueFrom.ConfigMapKeyRef.Name}] = true
		}
	}
	for _, source := range from {
		if source.ConfigMapRef != nil {
			u.named[key{namespace, source.ConfigMapRef.Name}] = true
		}
	}
}

// mentions notes the free text of a Workload's template: controllers are told
// by arguments, variables and annotations which ConfigMap to read.
func (u uses) mentions(w *cluster.Workload) {
	namespace := w.Self.Namespace
	for _, value := range w.Template.Annotations {
		u.note(namespace, value)
	}
	for c := range w.Containers() {
		u.note(namespace, c.Command...)
		u.note(namespace, c.Args...)
		for _, variable := range c.Env {
			u.note(namespace, variable.Value)
		}
	}
}

// note notes free text of a namespace in which a name may be mentioned.
func (u uses) note(namespace string, values ...string) {
	pieces := u.text[namespace]
	if pieces == nil {
		pieces = map[string]bool{}
		u.text[namespace] = pieces
	}
	for _, value := range values {
		pieces[value] = true
	}
}
