package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	containerLogs = "/var/log/containers"
	cniCache      = "/var/lib/cni"
	shimSockets   = "/run/containerd/s"
	devicePlugins = "/var/lib/kubelet/device-plugins" // whatever the kubelet's root is
)

// removeFiles removes what lies outside the state directory. The marker goes
// last with its directory, so that an interrupted removal can be repeated.
func (m Machine) removeFiles(context.Context) error {
	return errors.Join(
		m.removeLogLinks(),
		removeCNIResults(),
		removeDeadSockets(filepath.Join(shimSockets, "*")),
		removeDeadSockets(filepath.Join(devicePlugins, "kubelet.sock")),
		removeEmpty(filepath.Join(cniCache, "results"), cniCache, shimSockets, "/run/containerd", devicePlugins, "/var/lib/kubelet"),
		os.RemoveAll(m.runtimeDir()),
		os.RemoveAll(dataBase),
		removeEmpty(runtimeBase),
		os.RemoveAll(filepath.Join(kubernetesDir, "manifests")),
		os.RemoveAll(filepath.Join(kubernetesDir, "pki")),
		os.Remove(markerFile),
		removeEmpty(kubernetesDir),
	)
}

// removeLogLinks removes the links that the kubelet made to our pods' logs.
func (m Machine) removeLogLinks() error {
	links, err := filepath.Glob(filepath.Join(containerLogs, "*"))
	if err != nil {
		return fmt.Errorf("listing %s: %w", containerLogs, err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, m.Dir.Path+"/") {
			if err := os.Remove(link); err != nil {
				return fmt.Errorf("removing a link to a pod's log: %w", err)
			}
		}
	}
	return removeEmpty(containerLogs)
}

// removeCNIResults removes what the CNI library remembers of our pods. Beside
// each pod's interface of our network it remembers the loopback one, under a
// name that all networks share.
func removeCNIResults() error {
	results := filepath.Join(cniCache, "results")
	ours, err := filepath.Glob(filepath.Join(results, networkName+"-*-eth0"))
	if err != nil {
		return fmt.Errorf("listing %s: %w", results, err)
	}
	for _, result := range ours {
		pod := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(result), networkName+"-"), "-eth0")
		loopback := filepath.Join(results, "cni-loopback-"+pod+"-lo")
		if err := errors.Join(os.RemoveAll(result), os.RemoveAll(loopback)); err != nil {
			return fmt.Errorf("removing a pod's network record: %w", err)
		}
	}
	return nil
}

// removeDeadSockets removes those sockets on which nobody listens any more: a
// killed shim or kubelet leaves its own behind.
func removeDeadSockets(pattern string) error {
	sockets, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("listing %s: %w", pattern, err)
	}
	for _, socket := range sockets {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
			continue
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			if err := os.Remove(socket); err != nil {
				return fmt.Errorf("removing a dead socket: %w", err)
			}
		}
	}
	return nil
}

// removeEmpty removes those of the directories in which nobody else keeps anything.
func removeEmpty(dirs ...string) error {
	for _, dir := range dirs {
		err := syscall.Rmdir(dir)
		if err != nil && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.ENOENT) {
			return fmt.Errorf("removing %s: %w", dir, err)
		}
	}
	return nil
}
