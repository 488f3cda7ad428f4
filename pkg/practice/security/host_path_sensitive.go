package security

import (
	"fmt"
	"path"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// HostPathSensitive finds mounts through which a pod is its node.
//
// A container runtime's socket starts any container, /etc holds the node's
// passwords and /var/lib/kubelet the tokens of all its pods: reading is enough
// for most of them.
// https://kubernetes.io/docs/concepts/storage/volumes/
func HostPathSensitive() practice.Practice {
	return practice.Practice{
		ID:       "host-path-sensitive",
		Title:    "Workload with a path of its node that gives the node away",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "Some paths of a node are the node: a container runtime's socket starts any container, /etc holds its keys, and /var/lib/kubelet the secrets of all its pods. " +
			"For most of them reading is enough.",
		Judged: "The hostPath volumes of each workload's template that a container mounts. /var/log, /sys and /home only where they can be written to. " +
			"pss-baseline names every host path; this names those that give the node away, and how.",
		Fix: "mount the one directory that is needed, read-only; a node agent that needs more belongs in a namespace of its own",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/storage/volumes/#hostpath",
			"https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline",
		},
		Judges: cluster.WorkloadKinds(),
		Check: practice.EachWorkload(nil, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			var findings []practice.Finding
			for i, volume := range w.Template.Spec.Volumes {
				if volume.HostPath == nil {
					continue
				}
				mounted, writable := mountedBy(w, volume.Name)
				gives := givesAway(volume.HostPath.Path, writable)
				if mounted == "" || gives == "" {
					continue
				}
				how := "reads"
				if writable {
					how = "reads and writes"
				}
				findings = append(findings, practice.On(w.Owner, fmt.Sprintf("%s.volumes[%d].hostPath.path", w.TemplatePath, i),
					"container %q %s the node's %s: %s", mounted, how, path.Clean(volume.HostPath.Path), gives))
			}
			return findings
		}),
	}
}

// mountedBy names the first container that mounts a volume, and tells whether
// any can write to it.
func mountedBy(w *cluster.Workload, volume string) (container string, writable bool) {
	for c := range w.Containers() {
		for _, mount := range c.VolumeMounts {
			if mount.Name != volume {
				continue
			}
			if container == "" {
				container = c.Name
			}
			writable = writable || !mount.ReadOnly
		}
	}
	return container, writable
}

// givesAway says what a path of the node hands to who mounts it; "" when it is
// not known to be much.
func givesAway(hostPath string, writable bool) string {
	clean := path.Clean("/" + hostPath)
	if name := path.Base(clean); strings.HasSuffix(name, ".sock") {
		for _, runtime := range []string{"docker", "containerd", "crio", "podman", "cri-dockerd", "dockershim"} {
			if strings.HasPrefix(name, runtime) {
				return "the runtime's socket starts any container with any right"
			}
		}
	}
	for _, known := range []struct {
		path, gives string
		writing     bool // only then
	}{
		{"/", "everything on the node", false},
		{"/etc", "its passwords, and where it runs, the control plane's keys", false},
		{"/root", "the keys of its root user", false},
		{"/proc", "the memory and environment of all its processes", false},
		{"/dev", "its disks", false},
		{"/boot", "the kernel that it starts next", false},
		{"/run/containerd", "the runtime's socket starts any container with any right", false},
		{"/var/run", "the sockets of its runtime and daemons", false},
		{"/run", "the sockets of its runtime and daemons", false},
		{"/var/lib", "the kubelet's and the runtime's state, secrets of all its pods included", false},
		{"/var/lib/kubelet", "the secrets and tokens of all its pods", false},
		{"/var/lib/etcd", "all data of the cluster", false},
		{"/var/lib/docker", "the filesystems of all its containers", false},
		{"/var/lib/containerd", "the filesystems of all its containers", false},
		{"/var/log", "links that it plants there are followed by the kubelet, as root", true},
		{"/sys", "the settings of its kernel", true},
		{"/home", "the keys of its users", true},
	} {
		if clean == known.path && (writable || !known.writing) {
			return known.gives
		}
	}
	for _, below := range []string{"/etc/kubernetes", "/var/lib/kubelet/pki", "/root/.ssh", "/root/.kube"} {
		if clean == below || strings.HasPrefix(clean, below+"/") {
			return "keys of the cluster or of its administrators"
		}
	}
	if strings.HasPrefix(clean, "/var/lib/kubelet/pods") {
		return "the secrets and tokens of all its pods"
	}
	return ""
}
