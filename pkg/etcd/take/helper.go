// Package take brings a snapshot out of a cluster's etcd: through helper pods
// that use the node's own certificates, which never leave it, or from an
// endpoint that the user has certificates for.
package take

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/find"
)

// How helper pods are known, and when one is an orphan.
const (
	managedBy   = "app.kubernetes.io/managed-by"
	manager     = "kubectl-prod"
	helperLabel = "prod.kubectl.io/helper"
	helperKind  = "backup-etcd"
	// aliveAnnotation is when the run that made the pod last said that it lives.
	aliveAnnotation = "prod.kubectl.io/alive"
	// runnerAnnotation is HOST/PID of that run: on the same machine, a process
	// that is gone needs no waiting for.
	runnerAnnotation = "prod.kubectl.io/runner"
	aliveEvery       = 15 * time.Second
	deadAfter        = time.Minute

	scratchPath = "/scratch"
	// cleanupTimeout bounds the removal of a helper, which an interrupt does not
	// shorten.
	cleanupTimeout = 30 * time.Second
	// orphanTimeout is longer: a helper that a restore has brought back from the
	// snapshot ends some 40 seconds later, when its kubelet has found that none of
	// its containers runs.
	orphanTimeout = 2 * time.Minute
	pollInterval  = 250 * time.Millisecond
)

// Helpers makes pods beside an etcd member and removes them again.
type Helpers struct {
	Client kubernetes.Interface
	// Deadline ends a pod by itself should nobody be left to remove it.
	Deadline time.Duration
	// Start is how long a pod may take to start.
	Start time.Duration
	// Warn is told what is in the way of nothing.
	Warn func(format string, args ...any)
}

// labels select all helpers.
func selector() string { return managedBy + "=" + manager + "," + helperLabel + "=" + helperKind }

// pod is what all helpers have in common. Nothing in it can be used to become
// somebody else: no token, no capability, nothing writable but the scratch.
func (h Helpers) pod(m find.Member, purpose string, scratch int64) *corev1.Pod {
	deadline := int64(h.Deadline.Seconds())
	grace, no := int64(1), false
	host, _ := os.Hostname() // without a name, only the heartbeat tells
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "kubectl-prod-etcd-" + purpose + "-" + rand.String(5), Namespace: m.Namespace,
			Labels: map[string]string{managedBy: manager, helperLabel: helperKind},
			Annotations: map[string]string{
				aliveAnnotation: time.Now().UTC().Format(time.RFC3339), runnerAnnotation: host + "/" + strconv.Itoa(os.Getpid()),
			},
		},
		Spec: corev1.PodSpec{
			NodeName: m.Node, RestartPolicy: corev1.RestartPolicyNever,
			ActiveDeadlineSeconds: &deadline, TerminationGracePeriodSeconds: &grace,
			AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
			// A taint that keeps pods off must not keep this one off: it goes where
			// the member is.
			Tolerations:     []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			SecurityContext: podSecurity(m.User),
			Volumes:         slices.Clone(m.Volumes),
			DNSPolicy:       corev1.DNSDefault,
		},
	}
	if scratch > 0 {
		limit := resource.NewQuantity(scratch, resource.BinarySI)
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: limit}},
		})
	}
	return pod
}

// podSecurity runs helpers as etcd itself runs: as its user where kubeadm gave
// it one, else as root without a capability, for the keys are root's alone.
func podSecurity(user *corev1.PodSecurityContext) *corev1.PodSecurityContext {
	security := &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	if user != nil && user.RunAsUser != nil && *user.RunAsUser != 0 {
		yes := true
		security.RunAsUser, security.RunAsGroup, security.SupplementalGroups = user.RunAsUser, user.RunAsGroup, user.SupplementalGroups
		security.RunAsNonRoot, security.FSGroup = &yes, user.RunAsGroup
		return security
	}
	root := int64(0)
	security.RunAsUser, security.RunAsGroup = &root, &root
	return security
}

// container runs one of etcd's programs, from the image that the node has.
func container(m find.Member, name string, command ...string) corev1.Container {
	yes, no := true, false
	return corev1.Container{
		Name: name, Image: m.Image, ImagePullPolicy: corev1.PullIfNotPresent, Command: command,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Privileged: &no,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi"),
		}},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

// etcdctl runs etcdctl against a member with the node's certificates.
func etcdctl(m find.Member, name string, args ...string) corev1.Container {
	command := []string{"etcdctl", "--endpoints=" + m.ClientURL, "--dial-timeout=10s", "--command-timeout=5m"}
	for flag, file := range map[string]string{"--cacert": m.CA, "--cert": m.Cert, "--key": m.Key} {
		if file != "" {
			command = append(command, flag+"="+file)
		}
	}
	slices.Sort(command[1:])
	c := container(m, name, append(command, args...)...)
	c.VolumeMounts = slices.Clone(m.Mounts)
	return c
}

func scratchMount() corev1.VolumeMount {
	return corev1.VolumeMount{Name: "scratch", MountPath: scratchPath}
}

// create makes a pod, keeps it alive in the eyes of other runs, and returns how
// to remove it. remove works after an interrupt too.
func (h Helpers) create(ctx context.Context, pod *corev1.Pod) (remove func() error, err error) {
	pods := h.Client.CoreV1().Pods(pod.Namespace)
	// An interrupt while the request is under way must not leave a pod that we do
	// not know of: the request is ended by its own timeout alone.
	created, err := pods.Create(context.WithoutCancel(ctx), pod, metav1.CreateOptions{})
	if err != nil {
		return nil, errors.Join(refused(pod, err), h.removeUncertain(context.WithoutCancel(ctx), pod, err))
	}
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	go wait.UntilWithContext(beating, func(ctx context.Context) {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, aliveAnnotation, time.Now().UTC().Format(time.RFC3339))
		_, _ = pods.Patch(ctx, pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}) // the next beat may do better
	}, aliveEvery)
	return func() error {
		stop()
		return h.remove(context.WithoutCancel(ctx), created.Namespace, created.Name, cleanupTimeout)
	}, nil
}

// removeUncertain removes a pod whose making got no answer that says that it was
// not made.
func (h Helpers) removeUncertain(ctx context.Context, pod *corev1.Pod, err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Code < http.StatusInternalServerError && status.Status().Code != 0 {
		return nil
	}
	return h.remove(ctx, pod.Namespace, pod.Name, cleanupTimeout)
}

// remove deletes a pod and waits until it is gone, for at most patience.
func (h Helpers) remove(ctx context.Context, namespace, name string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pods := h.Client.CoreV1().Pods(namespace)
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		err := pods.Delete(ctx, name, metav1.DeleteOptions{})
		return apierrors.IsNotFound(err), nil // an API server that restarts is back in time
	})
	if err != nil {
		return &LeftError{Namespace: namespace, Pod: name}
	}
	return nil
}

// LeftError is for a helper pod that could not be removed.
type LeftError struct{ Namespace, Pod string }

func (e *LeftError) Error() string {
	return fmt.Sprintf("the helper pod may still be there; remove it: kubectl delete pod -n %s %s", e.Namespace, e.Pod)
}

// RemoveOrphans removes what an earlier run left behind when it was killed, and
// leaves the helpers of runs that live.
func (h Helpers) RemoveOrphans(ctx context.Context, namespace string) (removed []string, err error) {
	all, err := h.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector()})
	if err != nil {
		return nil, fmt.Errorf("looking for helper pods of earlier runs: %w", err)
	}
	for i := range all.Items {
		pod := &all.Items[i]
		if !orphaned(pod, time.Now()) {
			h.Warn("another backup is under way: pod %s/%s", pod.Namespace, pod.Name)
			continue
		}
		if err := h.remove(ctx, pod.Namespace, pod.Name, orphanTimeout); err != nil {
			return removed, err
		}
		removed = append(removed, pod.Name)
	}
	return removed, nil
}

// orphaned reports whether the run that made a pod is gone.
func orphaned(pod *corev1.Pod, now time.Time) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true
	}
	host, process, _ := strings.Cut(pod.Annotations[runnerAnnotation], "/")
	if here, err := os.Hostname(); err == nil && here == host {
		if pid, err := strconv.Atoi(process); err == nil && !running(pid) {
			return true
		}
	}
	alive, err := time.Parse(time.RFC3339, pod.Annotations[aliveAnnotation])
	return err != nil || now.Sub(alive) > deadAfter
}

// refusedError is a refusal in one line; some engines write pages.
type refusedError struct {
	text  string
	cause error
}

func (e *refusedError) Error() string { return e.text }
func (e *refusedError) Unwrap() error { return e.cause }

// refused turns a refusal of a helper into one line with what to allow.
func refused(pod *corev1.Pod, err error) error {
	message := strings.Join(strings.Fields(err.Error()), " ")
	webhook := regexp.MustCompile(`admission webhook "([^"]+)" denied the request`)
	policy := regexp.MustCompile(`ValidatingAdmissionPolicy '([^']+)'`)
	exempt := "exempt pods with the label " + managedBy + "=" + manager + "," + helperLabel + "=" + helperKind + " in namespace " + pod.Namespace
	text := "making the helper pod"
	switch {
	case strings.Contains(message, "violates PodSecurity"):
		text = fmt.Sprintf("pod security refuses the helper pod: namespace %[1]s must allow hostPath volumes (kubectl label namespace %[1]s pod-security.kubernetes.io/enforce=privileged --overwrite)", pod.Namespace)
	case webhook.MatchString(message):
		text = fmt.Sprintf("webhook %s refuses the helper pod: %s", webhook.FindStringSubmatch(message)[1], exempt)
	case policy.MatchString(message):
		text = fmt.Sprintf("policy %s refuses the helper pod: %s", policy.FindStringSubmatch(message)[1], exempt)
	case apierrors.IsForbidden(err):
		text = fmt.Sprintf("not allowed to make the helper pod; backup-etcd needs create, get, delete and patch of pods, get of pods/log and create of pods/portforward in namespace %s", pod.Namespace)
	}
	return &refusedError{text: text + ": " + oneLine(message), cause: err}
}

// await waits until a pod fulfils a condition, and says why it never will.
func (h Helpers) await(ctx context.Context, pod *corev1.Pod, within time.Duration, done func(*corev1.Pod) bool) error {
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var last *corev1.Pod
	err := wait.PollUntilContextCancel(waiting, pollInterval, true, func(ctx context.Context) (bool, error) {
		found, err := h.Client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return false, fmt.Errorf("somebody removed the helper pod %s", pod.Name)
		case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
			return false, err
		case err != nil:
			return false, nil //nolint:nilerr // an API server that restarts is asked again
		}
		last = found
		if found.DeletionTimestamp != nil {
			return false, fmt.Errorf("somebody removed the helper pod %s", pod.Name)
		}
		if done(found) {
			return true, nil
		}
		return false, h.hopeless(ctx, found)
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case wait.Interrupted(err) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("helper pod %s on node %s did not get ready within %s: %s", pod.Name, pod.Spec.NodeName, within, state(last))
	default:
		return err
	}
}

// hopeless says why a pod will not get further.
func (h Helpers) hopeless(ctx context.Context, pod *corev1.Pod) error {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if ended := status.State.Terminated; ended != nil && ended.ExitCode != 0 {
			said := h.lastWords(ctx, pod, status.Name)
			if said == "" {
				said = ended.Message
			}
			return fmt.Errorf("on node %s, %s of helper pod %s ended with code %d: %s", pod.Spec.NodeName, status.Name, pod.Name, ended.ExitCode, oneLine(said))
		}
		if w := status.State.Waiting; w != nil && slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerError", "CreateContainerConfigError"}, w.Reason) {
			return fmt.Errorf("on node %s, %s of helper pod %s cannot start: %s: %s", pod.Spec.NodeName, status.Name, pod.Name, w.Reason, oneLine(w.Message))
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return fmt.Errorf("helper pod %s failed on node %s: %s %s", pod.Name, pod.Spec.NodeName, pod.Status.Reason, oneLine(pod.Status.Message))
	}
	return nil
}

// lastWords is the end of a container's log that says what went wrong.
func (h Helpers) lastWords(ctx context.Context, pod *corev1.Pod, name string) string {
	log, err := h.log(ctx, pod, name)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(log), "\n")
	for _, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "Error:") || strings.Contains(line, `"level":"fatal"`) || strings.Contains(line, `"level":"panic"`) {
			return line
		}
	}
	return lines[len(lines)-1]
}

func (h Helpers) log(ctx context.Context, pod *corev1.Pod, name string) (string, error) {
	stream, err := h.Client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: name}).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }() // it was only read
	log, err := io.ReadAll(io.LimitReader(stream, 4<<20))
	return string(log), err
}

func state(pod *corev1.Pod) string {
	if pod == nil {
		return "the API server did not answer"
	}
	for _, c := range pod.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			return oneLine(c.Message)
		}
	}
	return "its phase is " + string(pod.Status.Phase)
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return text[:min(len(text), 500)]
}
