// Package state knows where a cluster keeps its files and what it was brought
// up with.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/pki"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/proc"
)

// Dir is the state directory of one cluster.
type Dir struct {
	Name string
	Path string
}

// Settings are chosen when a cluster is first brought up and hold until it is
// taken down.
type Settings struct {
	Node       bool           `json:"node"`                 // a real kubelet beside the simulated nodes
	Nodes      int            `json:"nodes"`                // how many simulated nodes
	Encrypt    bool           `json:"encrypt,omitempty"`    // Secrets are encrypted at rest
	Audit      bool           `json:"audit,omitempty"`      // the API server keeps an audit log
	Fast       bool           `json:"fast"`                 // for fleets: no fsync, no client-side rate limits
	Frozen     bool           `json:"frozen,omitempty"`     // etcd and the API server alone
	Kubernetes string         `json:"kubernetes,omitempty"` // its minor, where it is not the newest
	Ports      map[string]int `json:"ports"`
	NodeName   string         `json:"nodeName,omitempty"` // of the real node
	NodeIP     string         `json:"nodeIP,omitempty"`   // of the real node
}

// Open returns the state directory of the named cluster, which need not exist.
// It fails when the name could not be a directory and a Kubernetes context.
func Open(name string) (Dir, error) {
	if !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`).MatchString(name) {
		return Dir{}, fmt.Errorf("cluster name %q: want at most 40 lower-case letters, digits and inner hyphens", name)
	}
	base, err := baseDir()
	if err != nil {
		return Dir{}, err
	}
	return Dir{Name: name, Path: filepath.Join(base, "clusters", name)}, nil
}

// baseDir follows the XDG base directory specification.
func baseDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "kubectl-prod"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the state directory: %w", err)
	}
	return filepath.Join(home, ".local", "state", "kubectl-prod"), nil
}

// Context is the name of the kubeconfig's context.
func (d Dir) Context() string {
	if d.Name == "prod" {
		return "prod-demo"
	}
	return d.Name
}

// Kubeconfig is the administrator's kubeconfig.
func (d Dir) Kubeconfig() string { return d.file("kubeconfig") }

// ComponentKubeconfig is the kubeconfig of a component, such as "scheduler".
func (d Dir) ComponentKubeconfig(component string) string {
	return d.file("kubeconfigs", component+".conf")
}

// PKI is where the certificates are.
func (d Dir) PKI() pki.Dir { return pki.Dir(d.file("pki")) }

// EtcdData is etcd's data directory.
func (d Dir) EtcdData() string { return d.file("etcd") }

// Bin holds links to the binaries that belong to the cluster, kubectl among them.
func (d Dir) Bin() string { return d.file("bin") }

// Config is a generated configuration file.
func (d Dir) Config(name string) string { return d.file("config", name) }

// AuditLog is the API server's audit log, an event a line.
func (d Dir) AuditLog() string { return d.file("logs", "audit.log") }

// Run is a directory for a component's own files, below which mounts may lie.
func (d Dir) Run(component string) string { return d.file("run", component) }

// Processes records what runs.
func (d Dir) Processes() proc.Table {
	return proc.Table{Records: d.file("pids"), Logs: d.file("logs")}
}

// LockFile serialises the commands on one cluster. It lies beside the state
// directory, since taking a cluster down removes the directory.
func (d Dir) LockFile() string { return d.Path + ".lock" }

func (d Dir) file(elements ...string) string {
	return filepath.Join(append([]string{d.Path}, elements...)...)
}

// Make creates the directories.
func (d Dir) Make() error {
	for _, sub := range []string{"pki/etcd", "kubeconfigs", "bin", "config", "run", "pids", "logs"} {
		if err := os.MkdirAll(d.file(sub), 0o700); err != nil {
			return fmt.Errorf("creating the state directory: %w", err)
		}
	}
	return nil
}

// Load reads the settings; false means that there is no such cluster.
func (d Dir) Load() (Settings, bool, error) {
	data, err := os.ReadFile(d.file("settings.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, false, nil
	}
	if err != nil {
		return Settings{}, false, fmt.Errorf("reading the cluster's settings: %w", err)
	}
	var settings Settings
	if err := json.Unmarshal(data, &settings); err != nil {
		return Settings{}, false, fmt.Errorf("reading %s: %w", d.file("settings.json"), err)
	}
	return settings, true, nil
}

// Save writes the settings.
func (d Dir) Save(settings Settings) error {
	data, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the cluster's settings: %w", err)
	}
	if err := os.WriteFile(d.file("settings.json"), data, 0o600); err != nil {
		return fmt.Errorf("writing the cluster's settings: %w", err)
	}
	return nil
}

// Remove deletes the state directory.
func (d Dir) Remove() error {
	if err := os.RemoveAll(d.Path); err != nil {
		return fmt.Errorf("removing the state directory: %w", err)
	}
	return nil
}
