package pitfalls

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/availability"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/security"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// UpgradeBlocked finds what an upgrade would break, or would break it.
//
// https://kubernetes.io/docs/tasks/administer-cluster/cluster-upgrade/
func UpgradeBlocked() practice.Practice {
	budgets, webhooks := availability.PDBBlocksDrain(), upgradeWebhooks()
	uses := []cluster.Kind{cluster.ServerMetrics, cluster.KubeletTTLs, cluster.KubeletConfigs}
	for _, p := range append(webhooks, budgets) {
		uses = slices.Concat(uses, p.Needs, p.Judges, p.Uses)
	}
	slices.Sort(uses)
	return practice.Practice{
		ID:       "upgrade-blocked",
		Title:    "Something stands in the way of an upgrade",
		Chapter:  practice.Pitfalls,
		Severity: report.Critical,
		Reason: "An upgrade takes versions of APIs away, restarts every component with its old flags, and drains every node. What does not survive that is known before, " +
			"and half an upgrade cannot be taken back.",
		Judged: "Against the release that --upgrade-to names, or the next: versions of APIs that somebody asked this API server for (apiserver_requested_deprecated_apis), or that manifests (-f) are written in, and that the release no longer serves; " +
			"a jump over a minor release, and kubelets more than 3 behind it; flags, feature gates and admission plugins on the command lines of the control plane's pods that it no longer knows; " +
			"budgets that let no pod go, and webhooks that fail closed without an answer or on their own pods, at which drains and restarts hang; gitRepo volumes (refused since 1.36), and cgroup v1 (refused since 1.35 unless failCgroupV1 is false). " +
			"containerd 1 is a warning for 1.38, whose kubelet drops what it needs. Command lines of kubelets, and those of a managed control plane, cannot be seen.",
		Fix: "mend each, and try the upgrade on a cluster that may break",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/administer-cluster/cluster-upgrade/",
			"https://kubernetes.io/docs/reference/using-api/deprecation-guide/",
			"https://kubernetes.io/releases/version-skew-policy/",
			"https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates-removed/",
			"https://github.com/kubernetes/kubernetes/tree/master/CHANGELOG",
		},
		Optional:     true,
		ClusterScope: true,
		Uses:         slices.Compact(append(uses, cluster.Nodes)),
		Thresholds:   practice.Thresholds{{Name: "minor", Value: 0, Meaning: "of the release to upgrade to, 38 for 1.38; 0 is the next, and --upgrade-to sets it"}},
		CheckBy:      checkUpgrade,
	}
}

// upgradeWebhooks are the practices about webhooks that an upgrade hangs at.
func upgradeWebhooks() []practice.Practice {
	return []practice.Practice{security.WebhookNoEndpoints(), security.WebhookFailClosedRisk()}
}

func checkUpgrade(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
	u := &upgrade{snapshot: s, to: uint(by.Of("minor"))}
	if !s.Origin.Live || len(s.Written) > 0 && s.Origin.Version == "" {
		if u.to == 0 && !s.Origin.Live {
			return practice.Verdict{NotChecked: "manifests do not say which release runs: --upgrade-to names the next"}
		}
		u.manifests()
	}
	servers := byMinor(apiServerVersions(s))
	if len(servers) == 0 && s.Origin.Live && u.to == 0 {
		return practice.Verdict{NotChecked: "the API server's version is not known"}
	}
	if len(servers) > 0 {
		u.from = servers[0][0].version.Minor()
		u.to = cmp.Or(u.to, u.from+1)
		if u.to <= u.from {
			return practice.Verdict{NotChecked: fmt.Sprintf("the API server runs %s already", minor(servers[0][0].version))}
		}
		u.skew()
	}
	if s.Origin.Live {
		u.verdict.Judged = append(u.verdict.Judged, practice.WholeCluster())
		u.requested()
		u.commandLines()
		u.nodes()
		u.drains()
		u.volumes()
	}
	return u.verdict
}

// upgrade carries the judgement of one.
type upgrade struct {
	snapshot *cluster.Snapshot
	from, to uint
	verdict  practice.Verdict
}

func (u *upgrade) target() string { return fmt.Sprintf("1.%d", u.to) }

func (u *upgrade) tell(f practice.Finding) { u.verdict.Findings = append(u.verdict.Findings, f) }

// takes reports whether the upgrade reaches a release that takes something away.
func (u *upgrade) takes(release string) bool {
	parsed, err := version.ParseGeneric(release)
	return err == nil && u.from < parsed.Minor() && parsed.Minor() <= u.to
}

// manifests judges the versions in which manifests are written.
func (u *upgrade) manifests() {
	for _, ref := range u.snapshot.Written {
		u.verdict.Judged = append(u.verdict.Judged, ref)
		lifecycle, deprecated := cluster.LifecycleOf(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))
		if !deprecated || lifecycle.Removed == "" || !u.takes(lifecycle.Removed) {
			continue
		}
		finding := practice.On(ref, "apiVersion", "Kubernetes %s does not serve %s %s, which went with %s", u.target(), ref.APIVersion, ref.Kind, lifecycle.Removed)
		if lifecycle.Replacement != "" {
			finding = finding.Mended("write it as %s", lifecycle.Replacement)
		}
		u.tell(finding)
	}
}

// requested judges what somebody asked this API server for.
func (u *upgrade) requested() {
	if u.snapshot.ServerMetrics == nil {
		return
	}
	for _, api := range u.snapshot.ServerMetrics.DeprecatedAPIs {
		if api.Removed != "" && u.takes(api.Removed) {
			u.tell(practice.On(practice.WholeCluster(), "", "somebody asks for %s of %s, which Kubernetes %s does not serve any more", api.Resource, schema.GroupVersion{Group: api.Group, Version: api.Version}, api.Removed).
				Mended("find who asks for it in the audit log, by the annotation k8s.io/deprecated, and upgrade that first"))
		}
	}
}

// skew judges the way there.
func (u *upgrade) skew() {
	if u.to > u.from+1 {
		u.tell(practice.On(practice.WholeCluster(), "", "from 1.%d to %s the control plane goes through each minor release, and first to 1.%d", u.from, u.target(), u.from+1).
			Mended("kubectl prod doctor --upgrade-to v1.%d", u.from+1))
	}
	for _, group := range byMinor(kubelets(u.snapshot)) {
		if v := group[0].version; v.Minor()+3 < u.to {
			u.tell(practice.On(practice.WholeCluster(), "", "kubelets of %d nodes (%s) run %s, more than 3 minor versions behind %s", len(group), places(group), minor(v), u.target()).
				Mended("upgrade these nodes before the control plane"))
		}
	}
}

// commandLines judges the flags of the control plane's pods.
func (u *upgrade) commandLines() {
	seen := map[string]bool{}
	for _, component := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		for _, pod := range u.snapshot.Pods {
			if pod.Namespace != "kube-system" || pod.Labels["component"] != component {
				continue
			}
			flags := flagsOf(pod)
			for _, one := range slices.Concat(
				u.gone(component, cluster.RemovedFlags(), slices.Sorted(maps.Keys(flags)), "--%s"),
				u.gone(component, cluster.RemovedGates(), gates(flags["feature-gates"]), "feature gate %s"),
				u.gone(component, cluster.RemovedAdmission(), strings.Split(flags["enable-admission-plugins"], ","), "admission plugin %s"),
			) {
				if !seen[component+one] {
					seen[component+one] = true
					u.tell(practice.On(practice.WholeCluster(), "", "%s is started with %s, and does not start with it any more (pod %s)", component, one, pod.Name).
						Mended("take it out of the static pod's manifest on each control-plane node"))
				}
			}
		}
	}
}

// gone words those of some names that a release no longer knows.
func (u *upgrade) gone(component string, removals []cluster.Removal, names []string, words string) []string {
	var found []string
	for _, removal := range removals {
		if u.from < removal.Minor && removal.Minor <= u.to && (removal.Component == "" || removal.Component == component) && slices.Contains(names, removal.What) {
			found = append(found, fmt.Sprintf(words+", gone with 1.%d", removal.What, removal.Minor))
		}
	}
	slices.Sort(found)
	return found
}

// flagsOf are the flags on a pod's command lines, and their values.
func flagsOf(pod *cluster.Pod) map[string]string {
	flags := map[string]string{}
	for _, c := range pod.Spec.Containers {
		for _, found := range regexp.MustCompile(`(?m)^--([a-z0-9-]+)(?:[= ](.*))?$`).FindAllStringSubmatch(strings.Join(slices.Concat(c.Command, c.Args), "\n"), -1) {
			flags[found[1]] = found[2]
		}
	}
	return flags
}

// gates are the names in the value of --feature-gates.
func gates(value string) []string {
	var names []string
	for pair := range strings.SplitSeq(value, ",") {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, strings.TrimSpace(name))
	}
	return names
}

const (
	// refusesCgroupV1 is the release whose kubelet does not start on cgroup v1
	// unless it is told to (https://github.com/kubernetes/enhancements/issues/5573).
	refusesCgroupV1 = 35
	// refusesGitRepo is the release whose kubelet runs no pod with a gitRepo
	// volume (https://github.com/kubernetes/enhancements/issues/5040).
	refusesGitRepo = 36
	// needsNewRuntime is the release whose kubelet drops what containerd 1 needs
	// (https://github.com/kubernetes/kubernetes/pull/139121).
	needsNewRuntime = 38
)

// nodes judges the machines.
func (u *upgrade) nodes() {
	for _, node := range slices.Sorted(maps.Keys(u.snapshot.KubeletMetrics)) {
		allowed := u.snapshot.KubeletConfigs[node].FailCgroupV1
		if u.snapshot.KubeletMetrics[node].CgroupVersion == 1 && u.to >= refusesCgroupV1 && (allowed == nil || *allowed) {
			u.tell(practice.On(cluster.Ref{APIVersion: "v1", Kind: "Node", Name: node}, "", "runs on cgroup v1, on which the kubelet of %s does not start", u.target()).
				Mended("move the node to cgroup v2; failCgroupV1: false in the kubelet's configuration puts it off"))
		}
	}
	var old []string
	for _, node := range u.snapshot.Nodes {
		if strings.HasPrefix(node.Status.NodeInfo.ContainerRuntimeVersion, "containerd://1.") {
			old = append(old, node.Name)
		}
	}
	if len(old) > 0 && u.to >= needsNewRuntime {
		u.tell(practice.On(practice.WholeCluster(), "", "%d nodes (%s) run containerd 1, for which the kubelet of 1.%d keeps no fallback", len(old), strings.Join(old[:min(3, len(old))], ", "), needsNewRuntime).
			As(report.Warning).Mended("upgrade containerd to 2"))
	}
}

// drains judges what drains and restarts hang at.
func (u *upgrade) drains() {
	for _, finding := range availability.PDBBlocksDrain().Verdict(u.snapshot).Findings {
		if finding.Severity == "" || finding.Severity == report.Critical {
			finding.Message = "every drain hangs here: " + finding.Message
			u.tell(finding)
		}
	}
	for _, p := range upgradeWebhooks() {
		for _, finding := range p.Verdict(u.snapshot).Findings {
			if finding.Severity == "" || finding.Severity == report.Critical {
				finding.Message = "nothing starts again once it has stopped: " + finding.Message
				finding.Fix = cmp.Or(finding.Fix, p.Fix)
				u.tell(finding)
			}
		}
	}
}

// volumes judges what the kubelet will refuse to mount.
func (u *upgrade) volumes() {
	if u.to < refusesGitRepo {
		return
	}
	for _, w := range u.snapshot.Workloads() {
		if slices.ContainsFunc(w.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.GitRepo != nil }) {
			u.tell(practice.On(w.Owner, w.TemplatePath+".volumes", "has a gitRepo volume, which the kubelet of 1.%d and later refuses to run", refusesGitRepo).
				Mended("clone in an init container, into an emptyDir"))
		}
	}
}
