package cluster

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Workload is something that runs pods, as the person who owns it sees it: one
// Deployment, not its ReplicaSets and Pods; one custom resource, not the
// Deployments an operator made for it.
type Workload struct {
	// Owner is the object at the top of the ownerReferences: what a person
	// would edit, and what findings are about.
	Owner Ref
	// Self is the object that holds the pod template; often the Owner.
	Self Ref
	// Meta is Self's metadata; of a Workload known by its pods alone, a pod's.
	Meta *metav1.ObjectMeta
	// Template is the pod template; of a Workload known by its pods alone (its
	// owner could not be read, or is of a kind without one), a pod's own spec.
	Template *corev1.PodTemplateSpec
	// TemplatePath leads to the pod spec in Self, "spec.template.spec".
	TemplatePath string
	// Replicas is how many pods are wanted; nil for kinds without a count.
	Replicas *int32
	// ReplicasBy names what writes Replicas again with each deployment: the
	// manifest, or live an apply; "" when nothing is known to.
	ReplicasBy string
	// Selector is Self's own selector of pods; nil where Self has none.
	Selector *metav1.LabelSelector

	// Strategy is how a Deployment replaces its pods; nil for other kinds.
	Strategy *appsv1.DeploymentStrategy

	// Pods are those of the Workload that the Snapshot holds.
	Pods []*Pod
	// Services select the Template's labels.
	Services []*corev1.Service
	// Budgets select the Template's labels.
	Budgets []*policyv1.PodDisruptionBudget
	// Autoscaler scales Self or Owner, if one does.
	Autoscaler *autoscalingv2.HorizontalPodAutoscaler
	// Scaler names what chooses the number of pods other than a person: the
	// Workload's HorizontalPodAutoscaler, ScaledObject, Knative Service, OpenFaaS
	// function or Kubeflow Notebook.
	Scaler string
	// VerticalScaler names the VerticalPodAutoscaler that sizes its pods.
	VerticalScaler string

	injected []string // containers that a mesh added; see IsInjected
}

// Container is one container of a Workload's template.
type Container struct {
	*corev1.Container
	Workload *Workload
	// Init is true for init containers that end before the others start; a
	// sidecar (an init container that restarts always) is not one of them.
	Init bool
	// Path leads to the container in Self, "spec.template.spec.containers[0]".
	Path string
}

// Containers are the template's containers, init containers first, without
// those that a mesh added.
func (w *Workload) Containers() iter.Seq[Container] {
	return func(yield func(Container) bool) {
		for i := range w.Template.Spec.InitContainers {
			c := &w.Template.Spec.InitContainers[i]
			if slices.Contains(w.injected, c.Name) {
				continue
			}
			sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
			if !yield(Container{c, w, !sidecar, fmt.Sprintf("%s.initContainers[%d]", w.TemplatePath, i)}) {
				return
			}
		}
		for i := range w.Template.Spec.Containers {
			if slices.Contains(w.injected, w.Template.Spec.Containers[i].Name) {
				continue
			}
			if !yield(Container{&w.Template.Spec.Containers[i], w, false, fmt.Sprintf("%s.containers[%d]", w.TemplatePath, i)}) {
				return
			}
		}
	}
}

// IsServed reports whether a Service sends traffic to the Workload.
func (w *Workload) IsServed() bool { return len(w.Services) > 0 }

// IsPlatform reports whether the Workload belongs to the platform.
func (w *Workload) IsPlatform() bool { return w.Owner.IsPlatform() }

// HasReplicas reports whether the Workload has a count of pods that a person
// or an autoscaler chooses: Deployments and StatefulSets have, a DaemonSet or
// a Job has not.
func (w *Workload) HasReplicas() bool { return w.Replicas != nil }

// IsStatic reports whether the Workload is a static pod, which its node's
// kubelet runs from a file: no API object of it can be edited.
func (w *Workload) IsStatic() bool {
	_, mirror := w.Template.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror && w.Self.Kind == "Pod"
}

// newWorkload fills what does not depend on other objects.
func newWorkload(ref Ref, meta *metav1.ObjectMeta, template *corev1.PodTemplateSpec, path string, replicas *int32) *Workload {
	return &Workload{Owner: ref, Self: ref, Meta: meta, Template: template, TemplatePath: path, Replicas: replicas, injected: injected(&template.ObjectMeta)}
}

func (w *Workload) selecting(selector *metav1.LabelSelector) *Workload {
	w.Selector = selector
	return w
}

func deploymentWorkload(d *appsv1.Deployment) *Workload {
	w := newWorkload(RefOf("apps/v1", "Deployment", &d.ObjectMeta), &d.ObjectMeta, &d.Spec.Template, "spec.template.spec", orOne(d.Spec.Replicas)).selecting(d.Spec.Selector)
	w.Strategy = &d.Spec.Strategy
	return w
}

func statefulSetWorkload(s *appsv1.StatefulSet) *Workload {
	return newWorkload(RefOf("apps/v1", "StatefulSet", &s.ObjectMeta), &s.ObjectMeta, &s.Spec.Template, "spec.template.spec", orOne(s.Spec.Replicas)).selecting(s.Spec.Selector)
}

func daemonSetWorkload(d *appsv1.DaemonSet) *Workload {
	return newWorkload(RefOf("apps/v1", "DaemonSet", &d.ObjectMeta), &d.ObjectMeta, &d.Spec.Template, "spec.template.spec", nil).selecting(d.Spec.Selector)
}

func jobWorkload(j *batchv1.Job) *Workload {
	return newWorkload(RefOf("batch/v1", "Job", &j.ObjectMeta), &j.ObjectMeta, &j.Spec.Template, "spec.template.spec", nil)
}

func cronJobWorkload(c *batchv1.CronJob) *Workload {
	return newWorkload(RefOf("batch/v1", "CronJob", &c.ObjectMeta), &c.ObjectMeta, &c.Spec.JobTemplate.Spec.Template, "spec.jobTemplate.spec.template.spec", nil)
}

// podWorkload is a Workload known by one of its pods. The template leaves out
// what scheduling and admission wrote into the pod.
func podWorkload(owner Ref, pod *Pod) *Workload {
	template := &corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: *pod.Spec.PodSpec}
	template.Spec.Hostname, template.Spec.Affinity = pod.Spec.Hostname, pod.Spec.Affinity
	return newWorkload(owner, &pod.ObjectMeta, template, "spec", nil)
}

// orOne is the API server's default for spec.replicas, which manifests omit.
func orOne(replicas *int32) *int32 {
	if replicas == nil {
		replicas = new(int32)
		*replicas = 1
	}
	return replicas
}

// templateHash labels the ReplicaSets of a Deployment and their pods; the
// ReplicaSet is named deployment-hash (kubernetes:
// pkg/controller/deployment/sync.go, getNewReplicaSet).
const templateHash = "pod-template-hash"

// deploymentByName infers a pod's Deployment from its ReplicaSet's name, for
// when ReplicaSets could not be read.
func deploymentByName(pod *Pod, replicaSet *metav1.OwnerReference) (Ref, bool) {
	hash := pod.Labels[templateHash]
	name, found := strings.CutSuffix(replicaSet.Name, "-"+hash)
	if hash == "" || !found || replicaSet.Kind != "ReplicaSet" {
		return Ref{}, false
	}
	return Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: pod.Namespace, Name: name}, true
}
