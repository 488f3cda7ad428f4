package machine

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/template"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/pki"
)

//go:embed files
var files embed.FS

// Network says what the kubelet tells pods about the cluster.
type Network struct {
	DNS    string // address of the cluster's DNS server
	Domain string
}

// Configure claims this machine and writes the configuration of containerd, the
// pod network and the kubelet. It is safe to repeat.
func (m Machine) Configure(ctx context.Context, network Network) error {
	if err := m.claim(); err != nil {
		return err
	}
	for _, dir := range []string{m.runtimeDir(), m.Dir.Run("cni"), KubeletRoot, VolumesDir, m.Dir.EtcdData()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("creating the node's directories: %w", err)
		}
	}
	target := pki.Target{Context: m.Dir.Context(), Server: fmt.Sprintf("https://127.0.0.1:%d", m.Settings.Ports["kube-apiserver"])}
	for component, user := range map[string]pki.User{
		"kubelet":    {Name: "system:node:" + NodeName, Groups: []string{"system:nodes"}},
		"kube-proxy": {Name: "system:kube-proxy"},
	} {
		if err := m.Dir.PKI().EnsureKubeconfig(m.Dir.ComponentKubeconfig(component), target, user); err != nil {
			return err
		}
	}
	if err := m.writeConfigs(network); err != nil {
		return err
	}
	if err := m.rememberSysctls(); err != nil {
		return err
	}
	return ensureBridge(ctx)
}

func (m Machine) writeConfigs(network Network) error {
	if err := m.write(m.Dir.Config("containerd.toml"), "containerd.toml", map[string]any{
		"Root":        m.Dir.Run("containerd"),
		"State":       filepath.Join(m.runtimeDir(), "containerd"),
		"Socket":      m.Socket(),
		"MetricsPort": m.Settings.Ports["containerd"],
		"PauseImage":  PauseImage,
		"CNIPlugins":  cniPlugins,
		"CNIConfig":   m.Dir.Run("cni"),
	}); err != nil {
		return err
	}
	if err := m.write(filepath.Join(m.Dir.Run("cni"), "10-prod.conflist"), "cni.conflist", map[string]any{
		"Name":     networkName,
		"Bridge":   bridgeName,
		"IPAM":     m.Dir.Run("ipam"),
		"PodRange": PodRange,
		"NodeIP":   NodeIP,
	}); err != nil {
		return err
	}
	if err := m.write(m.Dir.Config("kube-proxy.yaml"), "kube-proxy.yaml", map[string]any{
		"Kubeconfig":  m.Dir.ComponentKubeconfig("kube-proxy"),
		"PodRange":    PodRange,
		"NodeName":    NodeName,
		"HealthPort":  m.Settings.Ports["kube-proxy-health"],
		"MetricsPort": m.Settings.Ports["kube-proxy-metrics"],
	}); err != nil {
		return err
	}
	return m.write(m.Dir.Config("kubelet.yaml"), "kubelet.yaml", map[string]any{
		"Port":          m.Settings.Ports["kubelet"],
		"HealthPort":    m.Settings.Ports["kubelet-health"],
		"ClientCA":      m.Dir.PKI().Cert("ca"),
		"Cert":          m.Dir.PKI().Cert("kubelet"),
		"Key":           m.Dir.PKI().Key("kubelet"),
		"ClusterDNS":    network.DNS,
		"ClusterDomain": network.Domain,
		"Socket":        m.Socket(),
		"Manifests":     filepath.Join(kubernetesDir, "manifests"),
		"PodLogs":       m.Dir.Run("pod-logs"),
		"VolumePlugins": m.Dir.Run("volume-plugins"),
		"ResolvConf":    "/etc/resolv.conf",
	})
}

// write fills the named template into path. It writes beside path and renames,
// since the kubelet watches some of these files.
func (m Machine) write(path, name string, data any) error {
	tmpl, err := template.ParseFS(files, "files/"+name)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, data); err != nil {
		return fmt.Errorf("filling %s: %w", name, err)
	}
	part := m.Dir.Config(name + ".part")
	if err := os.WriteFile(part, out.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return os.Rename(part, path)
}

// Etcd is what the static pod needs to know.
type Etcd struct {
	AdvertiseURL string
	Args         []string
	MetricsPort  int
}

// WriteEtcd lays down etcd's certificates and its static pod where kubeadm does.
func (m Machine) WriteEtcd(etcd Etcd) error {
	certs := filepath.Join(kubernetesDir, "pki", "etcd")
	if err := os.MkdirAll(certs, 0o700); err != nil {
		return fmt.Errorf("creating etcd's certificate directory: %w", err)
	}
	if err := os.CopyFS(certs, os.DirFS(filepath.Dir(m.Dir.PKI().Cert("etcd/ca")))); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("copying etcd's certificates: %w", err)
	}
	return m.write(filepath.Join(kubernetesDir, "manifests", "etcd.yaml"), "etcd.yaml", map[string]any{
		"AdvertiseURL": etcd.AdvertiseURL,
		"Image":        EtcdImage,
		"Args":         etcd.Args,
		"MetricsPort":  etcd.MetricsPort,
		"DataDir":      m.Dir.EtcdData(),
	})
}
