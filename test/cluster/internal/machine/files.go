package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	forwardingSwitch = "/proc/sys/net/ipv4/ip_forward"
	containerLogs    = "/var/log/containers"
	cniCache         = "/var/lib/cni"
)

// rememberForwarding keeps the machine's setting, which the bridge plugin turns on.
func (m Machine) rememberForwarding() error {
	value, err := os.ReadFile(forwardingSwitch)
	if err != nil {
		return fmt.Errorf("reading whether packets are forwarded: %w", err)
	}
	return os.WriteFile(m.Dir.Config("ip_forward"), value, 0o600)
}

func (m Machine) restoreForwarding() error {
	value, err := os.ReadFile(m.Dir.Config("ip_forward"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading how packets were forwarded: %w", err)
	}
	return os.WriteFile(forwardingSwitch, value, 0o644)
}

// removeFiles removes what lies outside the state directory. The marker goes
// last with its directory, so that an interrupted removal can be repeated.
func (m Machine) removeFiles() error {
	return errors.Join(
		m.removeLogLinks(),
		removeMatches(filepath.Join(cniCache, "results", "prod-*")),
		removeEmpty(filepath.Join(cniCache, "results"), cniCache, "/run/containerd/s", "/run/containerd"),
		os.RemoveAll(m.runtimeDir()),
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

func removeMatches(pattern string) error {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("listing %s: %w", pattern, err)
	}
	for _, match := range matches {
		if err := os.RemoveAll(match); err != nil {
			return fmt.Errorf("removing %s: %w", match, err)
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
