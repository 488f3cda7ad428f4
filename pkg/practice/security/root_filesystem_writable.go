package security

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// RootFilesystemWritable finds containers that can be changed from within.
//
// Who breaks into a container wants to bring tools, or to change the program
// that runs. On a read-only root filesystem there is no place for either but
// the volumes that the workload names.
// https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
func RootFilesystemWritable() practice.Practice {
	return practice.Practice{
		ID:       "root-filesystem-writable",
		Title:    "Container with a writable root filesystem",
		Chapter:  practice.Security,
		Severity: report.Info,
		Reason: "Who breaks into a container wants to bring tools, or to change the program that runs. " +
			"On a read-only root filesystem there is no place for either but the volumes that the workload names.",
		Judged: "The containers of each workload's template that stay: readOnlyRootFilesystem must be true. Pods for Windows, which has no such thing, are exempt.",
		Fix:    "set securityContext.readOnlyRootFilesystem: true, and mount an emptyDir where the program has to write",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/configure-pod-container/security-context/",
		},
		Judges: cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does:    "sets readOnlyRootFilesystem: true on the containers that stay, and mounts an emptyDir at /tmp where nothing is mounted there; opt-in, since a program that writes anywhere else fails",
			OptIn:   true,
			Propose: mend.Workload(makeReadOnly),
		},
		Check: practice.EachWorkload(onLinux, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			var named []string
			for c := range w.Containers() {
				own := c.SecurityContext
				if !c.Init && (own == nil || own.ReadOnlyRootFilesystem == nil || !*own.ReadOnlyRootFilesystem) {
					named = append(named, `"`+c.Name+`"`)
				}
			}
			switch len(named) {
			case 0:
				return nil
			case 1:
				return []practice.Finding{practice.On(w.Owner, w.TemplatePath, "container %s can write to its root filesystem", named[0])}
			default:
				return []practice.Finding{practice.On(w.Owner, w.TemplatePath, "containers %s can write to their root filesystems", strings.Join(named, ", "))}
			}
		}),
	}
}

func onLinux(w *cluster.Workload) bool {
	return w.Template.Spec.OS == nil || w.Template.Spec.OS.Name != corev1.Windows
}
