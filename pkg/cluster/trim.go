package cluster

import (
	"strings"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// serviceAccountVolume prefixes the volume that the ServiceAccount admission
// plugin adds to every pod (kubernetes: plugin/pkg/admission/serviceaccount).
const serviceAccountVolume = "kube-api-access-"

// trim drops from an object what no practice reads, so that a Snapshot of a
// large cluster stays small: managedFields, the last-applied annotation, and
// from pods what admission added to every one of them alike. From Secrets it
// drops everything but certificates, so that nothing can print a key.
func trim(obj runtime.Object) {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return
	}
	switch obj.(type) {
	case *appsv1.Deployment, *appsv1.StatefulSet:
		noteAppliedReplicas(accessor)
	}
	trimMeta(accessor)
	switch obj := obj.(type) {
	case *corev1.ConfigMap:
		trimConfigMap(obj)
	case *corev1.Pod:
		trimPodSpec(&obj.Spec)
		trimPod(obj)
	case *corev1.Secret:
		trimSecret(obj)
	case *discoveryv1.EndpointSlice:
		trimEndpoints(obj)
	}
}

func trimMeta(obj metav1.Object) {
	obj.SetManagedFields(nil)
	if annotations := obj.GetAnnotations(); annotations[corev1.LastAppliedConfigAnnotation] != "" {
		delete(annotations, corev1.LastAppliedConfigAnnotation)
	}
}

// trimSecret keeps the one entry that is public, with stringData merged into
// data as the API server does.
func trimSecret(secret *corev1.Secret) {
	crt, set := secret.Data[corev1.TLSCertKey]
	if text, over := secret.StringData[corev1.TLSCertKey]; over {
		crt, set = []byte(text), true
	}
	secret.Data, secret.StringData = nil, nil
	if set {
		secret.Data = map[string][]byte{corev1.TLSCertKey: crt}
	}
}

// trimEndpoints keeps of endpoints, which grow with the pods, what they are ready
// for.
func trimEndpoints(slice *discoveryv1.EndpointSlice) {
	for i := range slice.Endpoints {
		slice.Endpoints[i] = discoveryv1.Endpoint{Conditions: slice.Endpoints[i].Conditions}
	}
}

// trimPodSpec trims what the pods of a template share.
func trimPodSpec(spec *corev1.PodSpec) {
	intern(&spec.ServiceAccountName, &spec.SchedulerName, &spec.PriorityClassName)
	spec.DeprecatedServiceAccount = ""
	spec.Volumes = keep(spec.Volumes, func(v *corev1.Volume) bool {
		return !strings.HasPrefix(v.Name, serviceAccountVolume)
	})
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			trimContainer(&containers[i])
		}
	}
}

// trimPod trims what is a pod's own.
func trimPod(pod *corev1.Pod) {
	intern(&pod.Namespace, &pod.Spec.NodeName)
	pod.ResourceVersion, pod.GenerateName = "", ""
	trimStatus(&pod.Status, &pod.Spec)
}

// trimStatus drops what of a pod's status no practice reads: addresses, and since
// when containers run.
func trimStatus(status *corev1.PodStatus, spec *corev1.PodSpec) {
	for _, statuses := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range statuses {
			intern(&statuses[i].Name, &statuses[i].Image, &statuses[i].ImageID)
			trimResources(spec, &statuses[i])
			statuses[i].VolumeMounts = nil
			statuses[i].ContainerID = ""
			if running := statuses[i].State.Running; running != nil {
				running.StartedAt = metav1.Time{}
			}
		}
	}
	status.HostIP, status.HostIPs, status.PodIP, status.PodIPs = "", nil, "", nil
	status.Conditions = keep(status.Conditions, func(c *corev1.PodCondition) bool {
		return c.Status != corev1.ConditionTrue || !routine(c.Type)
	})
	for i := range status.Conditions {
		c := &status.Conditions[i]
		intern((*string)(&c.Type), (*string)(&c.Status), &c.Reason)
	}
}

// trimResources drops from a container's status the resources that its spec
// tells as well. They differ while the container is being resized, and then the
// scheduler counts both (k8s.io/component-helpers/resource, PodRequests).
func trimResources(pod *corev1.PodSpec, status *corev1.ContainerStatus) {
	for _, containers := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range containers {
			spec := containers[i].Resources
			if containers[i].Name != status.Name || status.Resources == nil {
				continue
			}
			if !equality.Semantic.DeepEqual(spec.Requests, status.Resources.Requests) || len(status.AllocatedResources) > 0 && !equality.Semantic.DeepEqual(spec.Requests, status.AllocatedResources) {
				return
			}
		}
	}
	status.AllocatedResources, status.Resources = nil, nil
}

// routine are the conditions that, where they hold, say no more than that a pod's
// start went well so far.
func routine(kind corev1.PodConditionType) bool {
	return kind == corev1.PodInitialized || kind == corev1.ContainersReady || kind == corev1.PodReadyToStartContainers
}

func trimContainer(c *corev1.Container) {
	intern(&c.Name, &c.Image, &c.TerminationMessagePath)
	c.VolumeMounts = keep(c.VolumeMounts, func(m *corev1.VolumeMount) bool {
		return !strings.HasPrefix(m.Name, serviceAccountVolume)
	})
	for i := range c.Env {
		intern(&c.Env[i].Name, &c.Env[i].Value)
	}
	for i := range c.VolumeMounts {
		intern(&c.VolumeMounts[i].Name, &c.VolumeMounts[i].MountPath)
	}
}

// keep copies the wanted items, so that the unwanted ones can be freed.
func keep[T any](items []T, wanted func(*T) bool) []T {
	var kept []T
	for i := range items {
		if wanted(&items[i]) {
			kept = append(kept, items[i])
		}
	}
	return kept
}

// intern replaces strings by one shared copy of each.
func intern(values ...*string) {
	for _, v := range values {
		if *v != "" {
			*v = unique.Make(*v).Value()
		}
	}
}

func internMap(m map[string]string) {
	for k, v := range m {
		delete(m, k)
		m[unique.Make(k).Value()] = unique.Make(v).Value()
	}
}

func internOwners(owners []metav1.OwnerReference) {
	for i := range owners {
		o := &owners[i]
		intern(&o.APIVersion, &o.Kind, &o.Name, (*string)(&o.UID))
	}
}
