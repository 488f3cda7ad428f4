package operations

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// NodeUnpatched finds nodes that the last update passed by.
//
// https://kubernetes.io/docs/setup/production-environment/#production-worker-nodes
func NodeUnpatched() practice.Practice {
	return practice.Practice{
		ID:       "node-unpatched",
		Title:    "Node behind the others of its kind",
		Chapter:  practice.Operations,
		Severity: report.Warning,
		Reason:   "A node that an update passed by keeps the holes that the update closed, and behaves unlike its neighbours: the pod that fails there and nowhere else.",
		Judged: "Each node's kubelet, container runtime and, among nodes of the same operating system image, kernel, against the newest in the cluster. " +
			"An older patch level counts; kubelets of another minor version are version-skew's. Whether the newest itself is patched, and when a node last booted, the API does not tell.",
		Fix:          "update the node, or replace it by a new one",
		Sources:      []string{"https://kubernetes.io/docs/tasks/administer-cluster/cluster-upgrade/", "https://kubernetes.io/releases/patch-releases/"},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			newest, number := map[string]*version.Version{}, regexp.MustCompile(`^\d+(\.\d+)+(-\d+)?`)
			for _, node := range s.Nodes {
				for _, c := range components(node, number) {
					if best := newest[c.peers]; best == nil || best.LessThan(c.version) {
						newest[c.peers] = c.version
					}
				}
			}
			for _, node := range s.Nodes {
				ref := cluster.RefOf("v1", "Node", &node.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				var behind []string
				for _, c := range components(node, number) {
					if c.version.LessThan(newest[c.peers]) {
						behind = append(behind, fmt.Sprintf("%s %s where others have %s", c.name, c.version, newest[c.peers]))
					}
				}
				if len(behind) > 0 {
					v.Findings = append(v.Findings, practice.On(ref, "status.nodeInfo", "%s", strings.Join(behind, "; ")).
						Mended("kubectl drain %s --ignore-daemonsets, update or replace it", node.Name))
				}
			}
			return v
		},
	}
}

// component is a program of a node, and those it is compared with.
type component struct {
	name, peers string
	version     *version.Version
}

// components are a node's, by the number that a version begins with.
func components(node *corev1.Node, begins *regexp.Regexp) []component {
	var all []component
	info := node.Status.NodeInfo
	add := func(name, text, among string) {
		// A distribution's kernel has its patch level behind a dash.
		number := strings.Replace(begins.FindString(strings.TrimPrefix(text, "v")), "-", ".", 1)
		if v, err := version.ParseGeneric(number); err == nil {
			all = append(all, component{name, name + " " + among, v})
		}
	}
	// Among one minor version: a rollout of the next is version-skew's.
	if v, err := version.ParseGeneric(strings.TrimPrefix(info.KubeletVersion, "v")); err == nil {
		add("kubelet", info.KubeletVersion, fmt.Sprintf("%d.%d", v.Major(), v.Minor()))
	}
	runtime, text, _ := strings.Cut(info.ContainerRuntimeVersion, "://")
	add(runtime, text, "")
	add("kernel", info.KernelVersion, info.OSImage)
	return all
}
