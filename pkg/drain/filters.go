package drain

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Options are the flags of kubectl drain that change what it does.
type Options struct {
	Force              bool
	DeleteEmptyDirData bool
	IgnoreDaemonSets   bool
	DisableEviction    bool
	// GracePeriod is in seconds; negative takes each pod's own.
	GracePeriod int
	// Timeout ends the drain; 0 never does.
	Timeout time.Duration
	// SkipWaitForDelete is in seconds: pods that have been terminating for
	// longer are not waited for. 0 waits for all.
	SkipWaitForDelete int
	// PodSelector is as it was typed; Selects is what it means.
	PodSelector string
	Selects     labels.Selector
}

// The words of kubectl drain (k8s.io/kubectl/pkg/drain/filters.go).
const (
	daemonSetFatal      = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"
	daemonSetWarning    = "ignoring DaemonSet-managed Pods"
	localStorageFatal   = "Pods with local storage (use --delete-emptydir-data to override)"
	localStorageWarning = "deleting Pods with local storage"
	unmanagedFatal      = "Pods that declare no controller (use --force to override)"
	unmanagedWarning    = "deleting Pods that declare no controller"
)

// filtered is what kubectl drain's filters make of a pod. Unlike kubectl's, it
// holds every reason and not the first alone.
type filtered struct {
	// skip leaves the pod on the node, without harm to the drain.
	skip bool
	// refusals end the drain of the whole node before anything is evicted.
	refusals []report.DrainReason
	// notes are what kubectl warns of, or why it skips.
	notes []string
}

// filter holds a pod against kubectl drain's filters, in their order
// (k8s.io/kubectl/pkg/drain/filters.go). A pod that a filter leaves on the node
// is not held against the later ones, which do not matter to it.
func (o Options) filter(now time.Time, exists func(cluster.Ref) bool, pod *corev1.Pod) filtered {
	var f filtered
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if o.skipsDeleted(now, pod) {
		return filtered{skip: true, notes: []string{fmt.Sprintf("has been terminating for longer than %d seconds", o.SkipWaitForDelete)}}
	}
	controller := metav1.GetControllerOfNoCopy(pod)
	if controller != nil && controller.Kind == "DaemonSet" && controller.APIVersion == "apps/v1" && !ended {
		there := exists(cluster.Ref{APIVersion: "apps/v1", Kind: "DaemonSet", Namespace: pod.Namespace, Name: controller.Name})
		switch {
		case !there && o.Force:
			f.notes = append(f.notes, fmt.Sprintf("daemonsets.apps %q not found", controller.Name))
		case !there:
			f.refuse(fmt.Sprintf("daemonsets.apps %q not found", controller.Name), "--force")
		case o.IgnoreDaemonSets:
			return filtered{skip: true, notes: []string{daemonSetWarning}}
		default:
			return filtered{skip: true, refusals: []report.DrainReason{{By: "kubectl", Message: daemonSetFatal, Flag: "--ignore-daemonsets"}}}
		}
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return filtered{skip: true, refusals: f.refusals, notes: append(f.notes, "static pod of the node, which the API server cannot evict")}
	}
	if ended {
		return f
	}
	if hasEmptyDir(pod) {
		if o.DeleteEmptyDirData {
			f.notes = append(f.notes, localStorageWarning)
		} else {
			f.refuse(localStorageFatal, "--delete-emptydir-data")
		}
	}
	if controller == nil {
		if o.Force {
			f.notes = append(f.notes, unmanagedWarning)
		} else {
			f.refuse(unmanagedFatal, "--force")
		}
	}
	return f
}

func (f *filtered) refuse(message, flag string) {
	f.refusals = append(f.refusals, report.DrainReason{By: "kubectl", Message: message, Flag: flag})
}

func (o Options) skipsDeleted(now time.Time, pod *corev1.Pod) bool {
	return o.SkipWaitForDelete > 0 && !pod.DeletionTimestamp.IsZero() && int(now.Sub(pod.DeletionTimestamp.Time).Seconds()) > o.SkipWaitForDelete
}

func hasEmptyDir(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].EmptyDir != nil {
			return true
		}
	}
	return false
}

// grace is how long a pod may take to end, in seconds.
func (o Options) grace(pod *corev1.Pod) int64 {
	switch {
	case pod.DeletionGracePeriodSeconds != nil:
		return *pod.DeletionGracePeriodSeconds
	case o.GracePeriod >= 0:
		return int64(o.GracePeriod)
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		return *pod.Spec.TerminationGracePeriodSeconds
	default:
		return corev1.DefaultTerminationGracePeriodSeconds
	}
}
