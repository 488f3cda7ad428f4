package availability

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// settling is how long a pod may take for what usually takes seconds.
const settling = 2 * time.Minute

// trouble is why a pod does not run, in the scheduler's or kubelet's own words.
type trouble struct {
	what string // the words, the same for all pods that share them
	fix  string // for the first pod that has it
}

// eachTrouble makes one finding for each distinct trouble of a Workload's pods,
// with how many have it.
func eachTrouble(w *cluster.Workload, of func(*cluster.Pod) *trouble) []practice.Finding {
	counts, first := map[string]int{}, map[string]*trouble{}
	var order []string
	for _, pod := range w.Pods {
		t := of(pod)
		if t == nil {
			continue
		}
		if counts[t.what] == 0 {
			order, first[t.what] = append(order, t.what), t
		}
		counts[t.what]++
	}
	var findings []practice.Finding
	for _, what := range order {
		findings = append(findings, practice.On(w.Owner, "", "%d of %d pods: %s", counts[what], len(w.Pods), what).Mended("%s", first[what].fix))
	}
	return findings
}

// describePod is where the events of a pod stand.
func describePod(pod *cluster.Pod) string {
	return fmt.Sprintf("kubectl describe pod %s -n %s", pod.Name, pod.Namespace)
}

// pending is why a pod is not started: not scheduled, or held up on its node.
func pending(now time.Time, pod *cluster.Pod) *trouble {
	if !stays(pod) || pod.Status.Phase == corev1.PodRunning {
		return nil
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && now.Sub(c.LastTransitionTime.Time) >= settling {
			return &trouble{fmt.Sprintf("not scheduled for %s (%s): %s", since(now, c.LastTransitionTime.Time), c.Reason, strings.TrimSpace(c.Message)), describePod(pod)}
		}
	}
	for status := range pod.Statuses() {
		if waiting := status.State.Waiting; waiting != nil && slices.Contains(heldUp(), waiting.Reason) {
			return &trouble{fmt.Sprintf("container %q waits with %s: %s", status.Name, waiting.Reason, strings.TrimSpace(waiting.Message)), describePod(pod)}
		}
	}
	if scheduledFor(now, pod) >= 5*settling && starting(pod) {
		return &trouble{"scheduled more than 10 minutes ago and still being created: its volumes, network or sandbox are not there", describePod(pod)}
	}
	return nil
}

// heldUp are the kubelet's reasons for a container that it cannot create,
// other than for its image (kubernetes: pkg/kubelet/kuberuntime).
func heldUp() []string {
	return []string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreStartHookError", "PostStartHookError"}
}

// scheduledFor is how long a pod has had a node.
func scheduledFor(now time.Time, pod *cluster.Pod) time.Duration {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue {
			return now.Sub(c.LastTransitionTime.Time)
		}
	}
	return 0
}

// starting reports whether no container of a pod has started or tried to.
func starting(pod *cluster.Pod) bool {
	for status := range pod.Statuses() {
		if waiting := status.State.Waiting; waiting == nil || (waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing") {
			return false
		}
	}
	return true
}

// imageTrouble is why a pod's image is not there.
func imageTrouble(pod *cluster.Pod) *trouble {
	if !stays(pod) {
		return nil
	}
	for status := range pod.Statuses() {
		if waiting := status.State.Waiting; waiting != nil && slices.Contains(imageReasons(), waiting.Reason) {
			return &trouble{fmt.Sprintf("container %q cannot get image %q (%s)%s", status.Name, status.Image, waiting.Reason, detail(waiting.Message)), describePod(pod)}
		}
	}
	return nil
}

// imageReasons are the kubelet's (kubernetes: pkg/kubelet/images/types.go).
func imageReasons() []string {
	return []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}
}

// detail is a kubelet's message without what every one of them repeats.
func detail(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	if message == "" || strings.HasPrefix(message, "Back-off pulling image") && !strings.Contains(message, ": ") {
		return ""
	}
	const longest = 300
	if len(message) > longest {
		message = message[:longest] + "…"
	}
	return ": " + message
}

// crashes reports whether a pod's container loops, which restart-loop tells.
func crashes(pod *cluster.Pod) bool {
	for status := range pod.Statuses() {
		if status.State.Waiting != nil && status.State.Waiting.Reason == "CrashLoopBackOff" {
			return true
		}
	}
	return false
}

// since is a time ago in the unit that says enough.
func since(now, then time.Time) string {
	switch d := now.Sub(then); {
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours())/24)
	}
}
