package security

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RunAsRoot finds containers that run as UID 0, or may.
//
// Root in a container is root on the node for whatever escapes: a kernel bug,
// a runtime bug (CVE-2019-5736 overwrote runc that way), a mounted host path.
// https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
func RunAsRoot() practice.Practice {
	return practice.Practice{
		ID:       "run-as-root",
		Title:    "Container that runs, or may run, as root",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "Root in a container is root on the node for whatever escapes from it: through a kernel bug, a runtime bug such as CVE-2019-5736, " +
			"or a mounted host path.",
		Judged: "Each container, init containers included. A live cluster tells the UID that containers started with, which proves it either way. " +
			"Elsewhere runAsNonRoot: true, or a runAsUser other than 0, must be set on the container or its pod; without either, the image decides. " +
			"Exempt are pods in a user namespace of their own (hostUsers: false) and pods for Windows.",
		Fix: "set securityContext.runAsNonRoot: true, and runAsUser where the image names its user by name only",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/configure-pod-container/security-context/",
			"https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/3619-supplemental-groups-policy (containerStatuses[].user)",
		},
		Judges: cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does: "sets runAsNonRoot: true, and runAsUser to the UID that its pods are seen to run with; refused where a pod runs as root, or no pod tells its UID " +
				"(the API server reports it since 1.31, where the container runtime does)",
			Uses:    []cluster.Kind{cluster.Pods, cluster.ReplicaSets},
			LeadsTo: []string{"pod-security-level-loose"},
			Propose: mend.Workload(runAsOther),
		},
		Check: practice.EachWorkload(sharesUsersWithNode, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			var findings []practice.Finding
			for c := range w.Containers() {
				if said := rootIn(c); said != "" {
					findings = append(findings, practice.On(w.Owner, c.Path+".securityContext", "%s", said))
				}
			}
			return findings
		}),
	}
}

// sharesUsersWithNode reports whether UID 0 in the pod is UID 0 on the node.
func sharesUsersWithNode(w *cluster.Workload) bool {
	spec := w.Template.Spec
	windows := spec.OS != nil && spec.OS.Name == corev1.Windows
	return !windows && (spec.HostUsers == nil || *spec.HostUsers)
}

// rootIn says why a container runs or may run as root; "" when it does not.
func rootIn(c cluster.Container) string {
	root, others := startedAs(c)
	user, nonRoot := wantedUser(c)
	switch {
	case root > 0:
		return fmt.Sprintf("container %q runs as UID 0 in %d of %d pods", c.Name, root, len(c.Workload.Pods))
	case others > 0 && others == len(c.Workload.Pods):
		return ""
	case nonRoot, user != nil && *user != 0:
		return ""
	case user != nil:
		return fmt.Sprintf("container %q is set to run as UID 0 (runAsUser: 0)", c.Name)
	default:
		return fmt.Sprintf("container %q may run as UID 0: neither runAsNonRoot nor runAsUser is set, so its image decides", c.Name)
	}
}

// startedAs counts the Workload's pods in which the container was started as
// root, and in which as somebody else.
func startedAs(c cluster.Container) (root, others int) {
	for _, pod := range c.Workload.Pods {
		for status := range pod.Statuses() {
			switch {
			case status.Name != c.Name || status.User == nil || status.User.Linux == nil:
			case status.User.Linux.UID == 0:
				root++
			default:
				others++
			}
		}
	}
	return root, others
}

// wantedUser is what a container's securityContext asks for, or its pod's.
func wantedUser(c cluster.Container) (user *int64, nonRoot bool) {
	if pod := c.Workload.Template.Spec.SecurityContext; pod != nil {
		user = pod.RunAsUser
		nonRoot = pod.RunAsNonRoot != nil && *pod.RunAsNonRoot
	}
	if own := c.SecurityContext; own != nil {
		if own.RunAsUser != nil {
			user = own.RunAsUser
		}
		if own.RunAsNonRoot != nil {
			nonRoot = *own.RunAsNonRoot
		}
	}
	return user, nonRoot
}
