package security

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
)

// control is one control of the Pod Security Standards that a remedy can write:
// the edits that a template lacks, what they rest on, and what may go wrong.
type control struct {
	edits         []change.Edit
	why, risk, no string // no says why the edits would not be safe
}

// meetLevel proposes the controls of a level one by one: each is a change to
// accept by itself.
func meetLevel(level api.Level) func(*cluster.Snapshot, *cluster.Workload, practice.Finding) practice.Proposal {
	return func(_ *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
		// A pod's Unconfined is against baseline already, and pss-baseline's to mend.
		pod := w.Template.Spec.SecurityContext
		ofBaseline := level == api.LevelRestricted && pod != nil && isUnconfined(pod.SeccompProfile)
		return meet(w, level, ofBaseline)
	}
}

// meetOwnLevel does it for the level that the workload's namespace enforces.
func meetOwnLevel(s *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	level, _ := enforced(s.Namespace(w.Self.Namespace))
	if level.Level != api.LevelRestricted {
		return meet(w, level.Level, false)
	}
	if beyond := onlyByHand(w); beyond != "" {
		return practice.Refuse("%s", beyond)
	}
	return meet(w, api.LevelRestricted, false)
}

// meet proposes what a level asks for; confined leaves the seccomp profile as it
// is.
func meet(w *cluster.Workload, level api.Level, confined bool) practice.Proposal {
	var controls []control
	if !confined {
		controls = append(controls, confine(w, level))
	}
	if level == api.LevelRestricted {
		if !onLinux(w) {
			return practice.Refuse("its pods are for Windows, which knows none of these controls")
		}
		controls = append(controls, nonRoot(w), keepPrivileges(w), dropCapabilities(w))
	}
	var proposals []practice.Proposal
	for _, c := range controls {
		switch {
		case c.no != "":
			proposals = append(proposals, practice.Refuse("%s", c.no))
		case len(c.edits) > 0:
			proposals = append(proposals, practice.Propose(mend.Edit(w, c.edits...)).Because("%s", c.why).Risking("%s", c.risk))
		}
	}
	if beyond := onlyByHand(w); beyond != "" {
		proposals = append(proposals, practice.Refuse("%s", beyond))
	}
	if len(proposals) == 0 {
		return practice.Refuse("what the message names is not among what can be written: mend it by hand")
	}
	first := proposals[0]
	first.Next = proposals[1:]
	return first
}

// onlyByHand says what of a template the standards forbid, and only a person
// can take away: whether the program needs it cannot be seen.
func onlyByHand(w *cluster.Workload) string {
	spec := &w.Template.Spec
	for _, host := range []struct {
		used  bool
		field string
	}{{spec.HostNetwork, "hostNetwork"}, {spec.HostPID, "hostPID"}, {spec.HostIPC, "hostIPC"}} {
		if host.used {
			return "it uses the host's own (" + host.field + "): whether it needs that cannot be seen; if so, it belongs in a namespace of its own"
		}
	}
	for _, volume := range spec.Volumes {
		if volume.HostPath != nil {
			return fmt.Sprintf("it mounts %s of its node: whether it needs that cannot be seen; if so, it belongs in a namespace of its own", volume.HostPath.Path)
		}
	}
	for c := range w.Containers() {
		if isPrivileged(c) {
			return fmt.Sprintf("container %q is privileged: whether it needs that cannot be seen; if so, it belongs in a namespace of its own", c.Name)
		}
		if added := addedCapabilities(c); len(added) > 0 {
			return fmt.Sprintf("container %q adds the capabilities %v: whether it needs them cannot be seen", c.Name, added)
		}
		for _, port := range c.Ports {
			if port.HostPort != 0 {
				return fmt.Sprintf("container %q holds port %d of its node: whether it needs that cannot be seen", c.Name, port.HostPort)
			}
		}
	}
	return ""
}

func isPrivileged(c cluster.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
}

func addedCapabilities(c cluster.Container) []corev1.Capability {
	if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
		return nil
	}
	return c.SecurityContext.Capabilities.Add
}

// confine sets the runtime's default seccomp profile: on the pod, and on each
// container that names a looser one.
func confine(w *cluster.Workload, level api.Level) control {
	for c := range w.Containers() {
		if isPrivileged(c) {
			return control{no: fmt.Sprintf("seccompProfile: container %q is privileged, and runs without a profile whatever is set", c.Name)}
		}
	}
	var edits []change.Edit
	runtimeDefault := string(corev1.SeccompProfileTypeRuntimeDefault)
	pod := w.Template.Spec.SecurityContext
	switch unset := pod == nil || pod.SeccompProfile == nil; {
	case unset && level == api.LevelRestricted && !eachContainerConfined(w), !unset && isUnconfined(pod.SeccompProfile):
		edits = append(edits, change.Set(runtimeDefault, mend.InTemplate(w, "securityContext", "seccompProfile", "type")...))
	}
	for c := range w.Containers() {
		if own := c.SecurityContext; own != nil && isUnconfined(own.SeccompProfile) {
			edits = append(edits, change.Set(runtimeDefault, mend.InContainer(c, "securityContext", "seccompProfile", "type")...))
		}
	}
	return control{
		edits: edits,
		why:   "the container runtime's default profile forbids some 60 system calls that programs hardly use",
		risk:  "a program that does use one of them (a debugger, a sandbox, a storage driver) fails with \"operation not permitted\"",
	}
}

func isUnconfined(profile *corev1.SeccompProfile) bool {
	return profile != nil && profile.Type == corev1.SeccompProfileTypeUnconfined
}

func eachContainerConfined(w *cluster.Workload) bool {
	for c := range w.Containers() {
		if own := c.SecurityContext; own == nil || own.SeccompProfile == nil || isUnconfined(own.SeccompProfile) {
			return false
		}
	}
	return true
}

// nonRoot forbids root to containers that are seen not to use it.
func nonRoot(w *cluster.Workload) control {
	var lacking []cluster.Container
	for c := range w.Containers() {
		if _, nonRoot := wantedUser(c); !nonRoot {
			lacking = append(lacking, c)
		}
	}
	if len(lacking) == 0 {
		return control{}
	}
	var edits []change.Edit
	identities := map[[2]int64]bool{}
	for _, c := range lacking {
		uid, why := provenUser(c)
		if why != "" {
			return control{no: "runAsNonRoot: " + why}
		}
		if user, _ := wantedUser(c); user == nil {
			// Where the image names its user by name, the kubelet needs the number;
			// and with a number it no longer takes the image's group.
			_, gid := seenAs(c)
			identities[[2]int64{uid, gid}] = true
			edits = append(edits, change.Set(uid, mend.InContainer(c, "securityContext", "runAsUser")...), change.Set(gid, mend.InContainer(c, "securityContext", "runAsGroup")...))
		}
		if own := c.SecurityContext; own != nil && own.RunAsNonRoot != nil { // an explicit false outweighs the pod's word
			edits = append(edits, change.Set(true, mend.InContainer(c, "securityContext", "runAsNonRoot")...))
		}
	}
	if len(identities) == 1 && len(edits) == 2*len(lacking) && oneUser(w, lacking) {
		for identity := range identities {
			edits = []change.Edit{
				change.Set(identity[0], mend.InTemplate(w, "securityContext", "runAsUser")...),
				change.Set(identity[1], mend.InTemplate(w, "securityContext", "runAsGroup")...),
			}
		}
	}
	return control{
		edits: append(edits, change.Set(true, mend.InTemplate(w, "securityContext", "runAsNonRoot")...)),
		why:   "every container runs, or is set to run, as another user than root: " + usersOf(lacking),
		risk:  "an image that comes with another user than today's still runs as this one",
	}
}

// oneUser reports whether the pod can say the user for all its containers.
func oneUser(w *cluster.Workload, lacking []cluster.Container) bool {
	all := 0
	for c := range w.Containers() {
		all++
		if own := c.SecurityContext; own != nil && (own.RunAsUser != nil || own.RunAsGroup != nil || own.RunAsNonRoot != nil) {
			return false
		}
	}
	return all == len(lacking)
}

func usersOf(containers []cluster.Container) string {
	var said []string
	for _, c := range containers {
		uid, _ := provenUser(c)
		said = append(said, fmt.Sprintf("%q as UID %d", c.Name, uid))
	}
	return strings.Join(said, ", ")
}

// provenUser is the user, other than root, as whom a container is set or seen
// to run in all pods that tell; or why there is no proof.
func provenUser(c cluster.Container) (uid int64, why string) {
	if user, _ := wantedUser(c); user != nil {
		if *user == 0 {
			return 0, fmt.Sprintf("container %q is set to run as root (runAsUser: 0): an image that can do without has to be proven by a person", c.Name)
		}
		return *user, ""
	}
	seen, _ := seenAs(c)
	switch {
	case slices.Contains(seen, 0):
		return 0, fmt.Sprintf("container %q runs as root", c.Name)
	case len(seen) == 0:
		return 0, fmt.Sprintf("nothing tells as whom container %q runs: the image decides, and no running pod of it tells its UID", c.Name)
	case len(seen) > 1:
		return 0, fmt.Sprintf("container %q runs as several users", c.Name)
	}
	return seen[0], ""
}

// seenAs are the distinct UIDs with which a container's pods were started, as
// the container runtime tells them, and the group of the last.
func seenAs(c cluster.Container) (uids []int64, gid int64) {
	for _, pod := range c.Workload.Pods {
		for status := range pod.Statuses() {
			if status.Name == c.Name && status.User != nil && status.User.Linux != nil {
				uids, gid = append(uids, status.User.Linux.UID), status.User.Linux.GID
			}
		}
	}
	slices.Sort(uids)
	return slices.Compact(uids), gid
}

// keepPrivileges forbids a program to gain privileges that it was not started with.
func keepPrivileges(w *cluster.Workload) control {
	var edits []change.Edit
	for c := range w.Containers() {
		own := c.SecurityContext
		if own != nil && own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation {
			continue
		}
		if why := needsPrivileges(c); why != "" {
			return control{no: "allowPrivilegeEscalation: false: " + why}
		}
		edits = append(edits, change.Set(false, mend.InContainer(c, "securityContext", "allowPrivilegeEscalation")...))
	}
	return control{
		edits: edits,
		why:   "no container runs as root or adds a capability",
		risk:  "a program that changes its user by a setuid binary (sudo, su, ping of old) cannot any more",
	}
}

// dropCapabilities takes all capabilities from containers.
func dropCapabilities(w *cluster.Workload) control {
	var edits []change.Edit
	for c := range w.Containers() {
		if own := c.SecurityContext; own != nil && own.Capabilities != nil && slices.Contains(own.Capabilities.Drop, "ALL") {
			continue
		}
		if why := needsPrivileges(c); why != "" {
			return control{no: "capabilities: {drop: [ALL]}: " + why}
		}
		for _, port := range c.Ports {
			if port.ContainerPort > 0 && port.ContainerPort < 1024 {
				return control{no: fmt.Sprintf("capabilities: {drop: [ALL]}: container %q listens on port %d as another user than root, which its binary may be allowed by a capability", c.Name, port.ContainerPort)}
			}
		}
		edits = append(edits, change.Set([]any{"ALL"}, mend.InContainer(c, "securityContext", "capabilities", "drop")...))
	}
	return control{
		edits: edits,
		why:   "no container runs as root, adds a capability or listens below port 1024",
		risk:  "a binary with capabilities of its own (setcap) loses them",
	}
}

// needsPrivileges says why a container may need what root or capabilities give.
func needsPrivileges(c cluster.Container) string {
	if isPrivileged(c) {
		return fmt.Sprintf("container %q is privileged", c.Name)
	}
	if added := addedCapabilities(c); len(added) > 0 {
		return fmt.Sprintf("container %q adds the capabilities %v", c.Name, added)
	}
	_, why := provenUser(c)
	return why
}

// runAsOther settles for all containers of a template that they are not root,
// which the workload's present users prove.
func runAsOther(_ *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	c := nonRoot(w)
	switch {
	case c.no != "":
		return practice.Refuse("%s", c.no)
	case len(c.edits) == 0:
		return practice.Refuse("its template asks for another user than root, and a pod from before runs as root: restart it")
	}
	return practice.Propose(mend.Edit(w, c.edits...)).Because("%s", c.why).Risking("%s", c.risk)
}

// scratch is the volume that replaces what a program writes to /tmp.
const scratch = "tmp"

// makeReadOnly leaves a program no place to write but its volumes.
func makeReadOnly(_ *cluster.Snapshot, w *cluster.Workload, _ practice.Finding) practice.Proposal {
	var edits []change.Edit
	mounts := false
	for c := range w.Containers() {
		if own := c.SecurityContext; c.Init || (own != nil && own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem) {
			continue
		}
		if isPrivileged(c) {
			return practice.Refuse("container %q is privileged, and can mount it writable again", c.Name)
		}
		edits = append(edits, change.Set(true, mend.InContainer(c, "securityContext", "readOnlyRootFilesystem")...))
		if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/tmp" }) {
			mounts = true
			edits = append(edits, change.Set(map[string]any{"name": scratch, "mountPath": "/tmp"}, mend.InContainer(c, "volumeMounts", change.Item("mountPath", "/tmp"))...))
		}
	}
	taken := slices.IndexFunc(w.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == scratch })
	switch {
	case mounts && taken >= 0:
		return practice.Refuse("it has a volume named %s that is not mounted at /tmp: mount an emptyDir there by hand", scratch)
	case mounts:
		edits = append(edits, change.Set(map[string]any{"name": scratch, "emptyDir": map[string]any{}}, mend.InTemplate(w, "volumes", change.Item("name", scratch))...))
	}
	return practice.Propose(mend.Edit(w, edits...)).Because("whoever breaks in finds no place to bring tools to; /tmp stays writable").
		Risking("a program that writes elsewhere than to its volumes and /tmp fails with \"read-only file system\"")
}
