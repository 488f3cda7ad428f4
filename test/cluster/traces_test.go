//go:build cluster

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"github.com/shirou/gopsutil/v4/process"
)

// traces are what a cluster may leave on a machine outside its own directories.
type traces struct {
	interfaces []string
	paths      []string // of directories that a node makes
	rules      []string // of the firewall
	sysctls    string
}

func takeTraces(t *testing.T) traces {
	t.Helper()
	return traces{interfaces: interfaces(t), paths: paths(t), rules: rules(), sysctls: sysctls()}
}

// check compares with now, and looks for processes and mounts of the clusters in
// the state directory.
func (before traces) check(t *testing.T, state string) {
	t.Helper()
	for _, p := range processesNaming(t, state) {
		t.Errorf("process %d is left: %s", p.pid, p.program)
	}
	mounts, err := mountinfo.GetMounts(func(info *mountinfo.Info) (skip, stop bool) {
		return !strings.Contains(info.Mountpoint, "kubectl-prod"), false
	})
	if err != nil {
		t.Error(err)
	}
	for _, mount := range mounts {
		t.Errorf("mount %s is left", mount.Mountpoint)
	}
	now := takeTraces(t)
	for what, pair := range map[string][2][]string{
		"interface":     {before.interfaces, now.interfaces},
		"path":          {before.paths, now.paths},
		"firewall rule": {before.rules, now.rules},
	} {
		for _, item := range pair[1] {
			if !slices.Contains(pair[0], item) {
				t.Errorf("%s %q is left", what, item)
			}
		}
	}
	if before.sysctls != now.sysctls {
		t.Errorf("kernel settings were %q and are %q", before.sysctls, now.sysctls)
	}
	if clusters, _ := filepath.Glob(filepath.Join(state, "kubectl-prod", "clusters", "*", "*")); len(clusters) > 0 {
		t.Errorf("state is left: %v", clusters)
	}
}

func interfaces(t *testing.T) []string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Name)
	}
	return names
}

func paths(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{
		"/etc/kubernetes", "/etc/cni", "/opt/cni", "/opt/containerd", "/run/containerd/*", "/run/kubectl-prod", "/run/netns/*",
		"/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/*/kubepods", "/sys/fs/cgroup/*/k8s.io", "/usr/libexec/kubernetes",
		"/var/lib/cni", "/var/lib/containerd", "/var/lib/kubectl-prod", "/var/lib/kubelet", "/var/log/containers/*", "/var/log/pods",
	} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, matches...)
	}
	return found
}

// rules lists Kubernetes' firewall rules; there are none where there is no iptables.
func rules() []string {
	var found []string
	for _, command := range []string{"iptables-save", "ip6tables-save"} {
		output, err := exec.Command(command).Output()
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(output)) {
			if strings.Contains(line, "KUBE-") {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	return found
}

func sysctls() string {
	var values []string
	for _, name := range []string{"net/ipv4/ip_forward", "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/netfilter/nf_conntrack_tcp_timeout_established"} {
		value, err := os.ReadFile("/proc/sys/" + name)
		if err == nil {
			values = append(values, name+"="+strings.TrimSpace(string(value)))
		}
	}
	return strings.Join(values, " ")
}

type running struct {
	pid     int
	program string
}

// processesNaming lists the processes with the directory in their arguments,
// except the tool itself, and all containers' shims.
func processesNaming(t *testing.T, dir string) []running {
	t.Helper()
	all, err := process.Processes()
	if err != nil {
		t.Fatal(err)
	}
	var found []running
	for _, p := range all {
		args, err := p.CmdlineSlice()
		if err != nil || len(args) == 0 {
			continue
		}
		line := strings.Join(args[1:], " ")
		if strings.Contains(line, dir) || strings.Contains(line, "/run/kubectl-prod/") {
			found = append(found, running{pid: int(p.Pid), program: args[0]})
		}
	}
	return found
}
