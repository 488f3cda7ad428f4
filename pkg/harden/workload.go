package harden

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// state is what the status of a workload says of its pods.
type state struct {
	// done: all wanted pods are of the present template, and available.
	done bool
	// rolling: pods of an earlier template are being replaced.
	rolling bool
	paused  bool
	// told says how far it is, in one line.
	told string
	// failed says why it will not get there; "" while it may.
	failed string
	// wanted counts the pods it is to have.
	wanted int32
	// onDelete: a new template takes effect only when somebody deletes pods.
	onDelete bool
	// surges: a new pod comes before an old one goes.
	surges bool
	// ordered: a pod that does not become ready holds up all others, a
	// corrected template's too (kubernetes#67250).
	ordered  bool
	selector *metav1.LabelSelector
}

// rolls reports whether objects of the kind replace their pods when their
// template changes.
func rolls(obj *unstructured.Unstructured) bool {
	return strings.HasPrefix(obj.GetAPIVersion(), "apps/") && slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, obj.GetKind())
}

// stateOf reads the status of an object that [rolls].
func stateOf(obj *unstructured.Unstructured) (state, error) {
	switch obj.GetKind() {
	case "Deployment":
		d, err := typed[appsv1.Deployment](obj)
		return deploymentState(d), err
	case "StatefulSet":
		s, err := typed[appsv1.StatefulSet](obj)
		return statefulSetState(s), err
	default:
		d, err := typed[appsv1.DaemonSet](obj)
		return daemonSetState(d), err
	}
}

func typed[T any](obj *unstructured.Unstructured) (*T, error) {
	into := new(T)
	return into, runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, into)
}

func deploymentState(d *appsv1.Deployment) state {
	s := state{
		wanted: 1, paused: d.Spec.Paused, selector: d.Spec.Selector,
		surges: d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType,
	}
	if d.Spec.Replicas != nil {
		s.wanted = *d.Spec.Replicas
	}
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue,
			c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded":
			s.failed = c.Reason + ": " + c.Message
		}
	}
	have := d.Status
	switch {
	case have.ObservedGeneration < d.Generation:
		s.rolling, s.failed = true, "" // of the generation before
		s.told = "waiting for the controller"
	case have.UpdatedReplicas < s.wanted:
		s.rolling = true
		s.told = fmt.Sprintf("%d of %d pods are new", have.UpdatedReplicas, s.wanted)
	case have.Replicas > have.UpdatedReplicas:
		s.rolling = true
		s.told = fmt.Sprintf("%d old pods are still there", have.Replicas-have.UpdatedReplicas)
	default:
		s.told = fmt.Sprintf("%d of %d pods are available", have.AvailableReplicas, s.wanted)
		s.done = have.AvailableReplicas >= s.wanted
	}
	return s
}

func statefulSetState(set *appsv1.StatefulSet) state {
	s := state{
		wanted: 1, selector: set.Spec.Selector,
		onDelete: set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		ordered:  set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement,
	}
	if set.Spec.Replicas != nil {
		s.wanted = *set.Spec.Replicas
	}
	var partition int32
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Partition != nil {
		partition = *rolling.Partition
	}
	have := set.Status
	switch {
	case have.ObservedGeneration < set.Generation:
		s.rolling, s.told = true, "waiting for the controller"
	case !s.onDelete && have.UpdatedReplicas < s.wanted-partition:
		s.rolling = true
		s.told = fmt.Sprintf("%d of %d pods are new", have.UpdatedReplicas, s.wanted-partition)
	default:
		s.told = fmt.Sprintf("%d of %d pods are available", have.AvailableReplicas, s.wanted)
		s.done = have.AvailableReplicas >= s.wanted
	}
	return s
}

func daemonSetState(d *appsv1.DaemonSet) state {
	have := d.Status
	s := state{
		wanted: have.DesiredNumberScheduled, selector: d.Spec.Selector,
		onDelete: d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
	}
	switch {
	case have.ObservedGeneration < d.Generation:
		s.rolling, s.told = true, "waiting for the controller"
	case !s.onDelete && have.UpdatedNumberScheduled < s.wanted:
		s.rolling = true
		s.told = fmt.Sprintf("%d of %d pods are new", have.UpdatedNumberScheduled, s.wanted)
	default:
		s.told = fmt.Sprintf("%d of %d pods are available", have.NumberAvailable, s.wanted)
		s.done = have.NumberAvailable >= s.wanted
	}
	return s
}

// unfit says why a workload must not be changed now; "" where it may be.
// mends is true where the change is about what fails.
func (s state) unfit(mends bool) string {
	switch {
	case s.paused:
		return "it is paused: a change would take effect at some later moment, when nobody watches (kubectl rollout resume)"
	case s.rolling && !mends:
		return fmt.Sprintf("a rollout is in progress (%s): run harden again when it has ended", s.told)
	case !s.done && !mends:
		return fmt.Sprintf("it is degraded (%s): mend it first", strings.Join(slices.DeleteFunc([]string{s.told, s.failed}, func(t string) bool { return t == "" }), "; "))
	}
	return ""
}

// templatePath leads to the pod template of an object; nil where it has none.
func templatePath(obj *unstructured.Unstructured) []string {
	for _, path := range [][]string{{"spec", "template"}, {"spec", "jobTemplate", "spec", "template"}} {
		if containers, _, _ := unstructured.NestedSlice(obj.Object, append(slices.Clone(path), "spec", "containers")...); len(containers) > 0 {
			return path
		}
	}
	return nil
}

// touchesTemplate reports whether touches change the pod template of an object.
func touchesTemplate(obj *unstructured.Unstructured, touches []change.Touch) bool {
	path := templatePath(obj)
	return path != nil && slices.ContainsFunc(touches, func(t change.Touch) bool {
		for i, name := range path {
			if i >= len(t.Path) {
				return true
			}
			if t.Path[i].FieldName == nil || *t.Path[i].FieldName != name {
				return false
			}
		}
		return true
	})
}

// endsAbruptly reports whether a container that serves a port is told to end at
// the same moment as those who send it requests are.
func endsAbruptly(obj *unstructured.Unstructured) bool {
	containers, _, _ := unstructured.NestedSlice(obj.Object, append(templatePath(obj), "spec", "containers")...)
	return slices.ContainsFunc(containers, func(container any) bool {
		fields, _ := container.(map[string]any)
		_, hooked, _ := unstructured.NestedMap(fields, "lifecycle", "preStop")
		return fields["ports"] != nil && !hooked
	})
}

// podOf is a pod as the object's controller would make it; nil where it makes
// none.
func podOf(obj *unstructured.Unstructured) *unstructured.Unstructured {
	path := templatePath(obj)
	if path == nil {
		return nil
	}
	template, _, _ := unstructured.NestedMap(obj.Object, path...)
	pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}}
	if meta, ok := template["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
		pod.Object["metadata"] = meta
	}
	pod.SetNamespace(obj.GetNamespace())
	pod.SetName("")
	pod.SetGenerateName("prod-harden-")
	pod.SetUID("")
	addClaims(obj, pod)
	return pod
}

// addClaims gives a StatefulSet's pod the volumes of its claim templates.
func addClaims(obj, pod *unstructured.Unstructured) {
	claims, _, _ := unstructured.NestedSlice(obj.Object, "spec", "volumeClaimTemplates")
	if len(claims) == 0 {
		return
	}
	volumes, _, _ := unstructured.NestedSlice(pod.Object, "spec", "volumes")
	for _, claim := range claims {
		fields, _ := claim.(map[string]any)
		name, _, _ := unstructured.NestedString(fields, "metadata", "name")
		volumes = append(volumes, map[string]any{
			"name": name, "persistentVolumeClaim": map[string]any{"claimName": name + "-" + obj.GetName() + "-0"},
		})
	}
	_ = unstructured.SetNestedSlice(pod.Object, volumes, "spec", "volumes")
}

// effect says when a write takes effect and what restarts.
func effect(obj *unstructured.Unstructured, created bool, touches []change.Touch) string {
	if created || !touchesTemplate(obj, touches) {
		return "takes effect at once and restarts nothing"
	}
	if !rolls(obj) {
		return "takes effect with its next run and restarts nothing"
	}
	s, err := stateOf(obj)
	switch {
	case err != nil:
		return "restarts its pods"
	case s.onDelete:
		return "takes effect when its pods are deleted (update strategy OnDelete)"
	case s.wanted == 0:
		return "takes effect when it is scaled up: it has no pods"
	case obj.GetKind() == "Deployment" && !s.surges:
		return fmt.Sprintf("restarts its %s, all at once (strategy Recreate)", pods(s.wanted))
	case s.wanted == 1 && !s.surges:
		return "restarts its only pod, which is away meanwhile"
	}
	return fmt.Sprintf("restarts its %s, by rolling update", pods(s.wanted))
}

func pods(n int32) string {
	if n == 1 {
		return "pod"
	}
	return fmt.Sprintf("%d pods", n)
}

func podRef(namespace string) cluster.Ref {
	return cluster.Ref{APIVersion: "v1", Kind: "Pod", Namespace: namespace}
}
