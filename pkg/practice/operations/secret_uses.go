package operations

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// secretUses gathers the Secrets that pods, templates, service accounts,
// Ingresses, volumes and the custom resources at hand refer to.
func secretUses(s *cluster.Snapshot) uses {
	u := uses{named: map[key]bool{}, text: map[string]map[string]bool{}}
	for _, w := range s.Workloads() {
		u.secretsOf(w.Self.Namespace, &w.Template.Spec)
		u.mentions(w)
	}
	for namespace, spec := range s.PodSpecs() {
		u.secretsOf(namespace, spec)
	}
	for _, job := range s.Jobs {
		u.secretsOf(job.Namespace, &job.Spec.Template.Spec)
	}
	for _, account := range s.ServiceAccounts {
		for _, ref := range account.ImagePullSecrets {
			u.named[key{account.Namespace, ref.Name}] = true
		}
		for _, ref := range account.Secrets {
			u.named[key{account.Namespace, ref.Name}] = true
		}
	}
	for _, ingress := range s.Ingresses {
		for _, tls := range ingress.Spec.TLS {
			u.named[key{ingress.Namespace, tls.SecretName}] = true
		}
		u.note(ingress.Namespace, values(ingress.Annotations)...)
	}
	for _, volume := range s.Volumes {
		if csi := volume.Spec.CSI; csi != nil {
			for _, ref := range []*corev1.SecretReference{csi.NodeStageSecretRef, csi.NodePublishSecretRef, csi.ControllerPublishSecretRef, csi.ControllerExpandSecretRef, csi.NodeExpandSecretRef} {
				if ref != nil {
					u.named[key{ref.Namespace, ref.Name}] = true
				}
			}
		}
	}
	for object := range s.Systems() {
		u.note(object.GetNamespace(), stringsIn(object)...)
	}
	return u
}

func (u uses) secretsOf(namespace string, spec *corev1.PodSpec) {
	use := func(name string) { u.named[key{namespace, name}] = true }
	for _, ref := range spec.ImagePullSecrets {
		use(ref.Name)
	}
	for i := range spec.Volumes {
		volume := &spec.Volumes[i]
		switch {
		case volume.Secret != nil:
			use(volume.Secret.SecretName)
		case volume.Projected != nil:
			for _, source := range volume.Projected.Sources {
				if source.Secret != nil {
					use(source.Secret.Name)
				}
			}
		case volume.CSI != nil && volume.CSI.NodePublishSecretRef != nil:
			use(volume.CSI.NodePublishSecretRef.Name)
		}
	}
	environment := func(env []corev1.EnvVar, from []corev1.EnvFromSource) {
		for _, variable := range env {
			if variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef != nil {
				use(variable.ValueFrom.SecretKeyRef.Name)
			}
		}
		for _, source := range from {
			if source.SecretRef != nil {
				use(source.SecretRef.Name)
			}
		}
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		environment(c.Env, c.EnvFrom)
	}
	for _, c := range spec.EphemeralContainers {
		environment(c.Env, c.EnvFrom)
	}
}

func values(m map[string]string) []string {
	all := make([]string, 0, len(m))
	for _, value := range m {
		all = append(all, value)
	}
	return all
}

// stringsIn are all strings of a custom resource's spec: references are
// spelled differently in each kind.
func stringsIn(object *unstructured.Unstructured) []string {
	var all []string
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case string:
			all = append(all, value)
		case []any:
			for _, item := range value {
				walk(item)
			}
		case map[string]any:
			for _, item := range value {
				walk(item)
			}
		}
	}
	walk(object.Object["spec"])
	return all
}

// hasReader reports whether a Secret shows that something finds it other than
// by a reference: its owner, or a program that lists Secrets by label or mark.
func hasReader(secret metav1.Object) bool {
	if len(secret.GetOwnerReferences()) > 0 {
		return true
	}
	for name := range secret.GetLabels() {
		if strings.HasPrefix(name, "argocd.argoproj.io/") || strings.HasPrefix(name, "sealedsecrets.bitnami.com/") ||
			strings.HasPrefix(name, "cnpg.io/") || strings.HasPrefix(name, "toolkit.fluxcd.io/") || strings.HasPrefix(name, "grafana_") || name == "app.kubernetes.io/managed-by" {
			return true
		}
	}
	for name := range secret.GetAnnotations() {
		if strings.HasPrefix(name, "cert-manager.io/") || strings.HasPrefix(name, "reflector.v1.k8s.emberstack.com/") || strings.HasPrefix(name, "kubed.appscode.com/") {
			return true
		}
	}
	return false
}
