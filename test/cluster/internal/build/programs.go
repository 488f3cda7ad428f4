package build

import (
	"fmt"
	"slices"
)

// Group is a set of programs that one Go module graph builds. Its go.mod and
// go.sum are locks/NAME.mod and locks/NAME.sum.
type Group struct {
	Name     string
	Module   string // whose version is the group's version
	Programs []Program
	Tags     string
	Stamps   []string // string variables to set to the module's version
	MinorOf  []string // packages whose gitMajor and gitMinor are set too
}

// Program is one binary to build.
type Program struct {
	Name    string // of the binary
	Package string
	Node    bool // needed only where a real node runs
}

// Oldest is the minor of Kubernetes that can be built beside the newest: three
// behind it.
const Oldest = "1.34"

// Selection is what a cluster is to be made of.
type Selection struct {
	Node       bool   // the programs that only a real node needs, too
	Kubernetes string // its minor: "" for the newest, or Oldest
}

// Groups lists the groups of a selection, in the order in which they are built.
func (s Selection) Groups() ([]Group, error) {
	switch s.Kubernetes {
	case "":
		return []Group{newest(controlPlane(), tools()), etcd(), containerd(), coredns(), criTools()}, nil
	case Oldest:
		older := newest(controlPlane())
		older.Name += "-" + Oldest
		return []Group{older, newest(tools()), etcd(), containerd(), coredns(), criTools()}, nil
	default:
		return nil, fmt.Errorf("Kubernetes %s is not pinned here, only the newest and %s", s.Kubernetes, Oldest)
	}
}

// Aside lists the groups that stand beside a cluster: a test asks for one by its
// name.
func Aside() []Group { return []Group{prometheus()} }

func controlPlane() []Program {
	return []Program{
		{Name: "kube-apiserver", Package: "k8s.io/kubernetes/cmd/kube-apiserver"},
		{Name: "kube-controller-manager", Package: "k8s.io/kubernetes/cmd/kube-controller-manager"},
		{Name: "kube-scheduler", Package: "k8s.io/kubernetes/cmd/kube-scheduler"},
		{Name: "kubectl", Package: "k8s.io/kubernetes/cmd/kubectl"},
		{Name: "kubelet", Package: "k8s.io/kubernetes/cmd/kubelet", Node: true},
		{Name: "kube-proxy", Package: "k8s.io/kubernetes/cmd/kube-proxy", Node: true},
	}
}

// tools simulate nodes and tell usage; the newest serve an older Kubernetes too.
func tools() []Program {
	return []Program{
		{Name: "kwok", Package: "sigs.k8s.io/kwok/cmd/kwok"},
		{Name: "metrics-server", Package: "sigs.k8s.io/metrics-server/cmd/metrics-server"},
	}
}

// newest holds KWOK and metrics-server too: in one graph they share most of
// what they compile with Kubernetes, which saves minutes of a first build.
//
// Kubernetes must be told its version: without it the binaries call themselves
// v0.0.0-master and kubectl fails on its own version.
func newest(programs ...[]Program) Group {
	versionPackages := []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"}
	return Group{
		Name:     "kubernetes",
		Module:   "k8s.io/kubernetes",
		Programs: slices.Concat(programs...),
		Stamps:   []string{versionPackages[0] + ".gitVersion", versionPackages[1] + ".gitVersion"},
		MinorOf:  versionPackages,
	}
}

func etcd() Group {
	return Group{
		Name:   "etcd",
		Module: "go.etcd.io/etcd/server/v3",
		Programs: []Program{
			{Name: "etcd", Package: "go.etcd.io/etcd/server/v3"},
			{Name: "etcdctl", Package: "go.etcd.io/etcd/etcdctl/v3"},
			{Name: "etcdutl", Package: "go.etcd.io/etcd/etcdutl/v3"},
		},
	}
}

func containerd() Group {
	const module = "github.com/containerd/containerd/v2"
	return Group{
		Name:   "containerd",
		Module: module,
		Programs: []Program{
			{Name: "containerd", Package: module + "/cmd/containerd", Node: true},
			{Name: "containerd-shim-runc-v2", Package: module + "/cmd/containerd-shim-runc-v2", Node: true},
			{Name: "ctr", Package: module + "/cmd/ctr", Node: true},
		},
		Tags:   "no_btrfs,no_devmapper,no_zfs", // they need C libraries
		Stamps: []string{module + "/version.Version"},
	}
}

func coredns() Group {
	return Group{
		Name:     "coredns",
		Module:   "github.com/coredns/coredns",
		Programs: []Program{{Name: "coredns", Package: "github.com/coredns/coredns", Node: true}},
	}
}

// prometheus is the server itself and promtool, which checks and tries rules and
// writes history.
func prometheus() Group {
	const module = "github.com/prometheus/prometheus"
	return Group{
		Name:   "prometheus",
		Module: module,
		Programs: []Program{
			{Name: "prometheus", Package: module + "/cmd/prometheus"},
			{Name: "promtool", Package: module + "/cmd/promtool"},
		},
		Tags: "remove_all_sd", // the clouds' libraries; targets come from files here
	}
}

// criTools is for whoever works on a node by hand, as a restore's plan says.
func criTools() Group {
	return Group{
		Name:     "cri-tools",
		Module:   "sigs.k8s.io/cri-tools",
		Programs: []Program{{Name: "crictl", Package: "sigs.k8s.io/cri-tools/cmd/crictl", Node: true}},
	}
}

// ldflags strips the binary, which halves its size, and stamps the version.
func (g Group) ldflags(version string) string {
	flags := "-s -w"
	for _, variable := range g.Stamps {
		flags += fmt.Sprintf(" -X %s=%s", variable, version)
	}
	for _, pkg := range g.MinorOf {
		var major, minor, patch int
		if _, err := fmt.Sscanf(version, "v%d.%d.%d", &major, &minor, &patch); err == nil {
			flags += fmt.Sprintf(" -X %s.gitMajor=%d -X %s.gitMinor=%d -X %s.gitTreeState=clean -X %s.gitCommit=", pkg, major, pkg, minor, pkg, pkg)
		}
	}
	return flags
}
