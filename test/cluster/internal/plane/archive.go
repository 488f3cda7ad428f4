package plane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/build"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/state"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/tarball"
)

// The entries of an archive, by their path in the state directory. The settings
// come first, so that they can be read without the snapshot, which may be large.
const (
	settingsEntry = "settings.json"
	snapshotEntry = "snapshot.db"
)

func identityEntries() []string { return []string{"pki", "kubeconfigs", "kubeconfig"} }

// Save writes a snapshot of etcd and the cluster's certificates and keys to file.
// The archive therefore holds secrets; it is readable by its owner alone.
func Save(ctx context.Context, dir state.Dir, file string, progress io.Writer) error {
	unlock, err := acquire(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	settings, exists, err := dir.Load()
	if err != nil {
		return err
	}
	if !exists {
		return fmt.Errorf("there is no cluster %s", dir.Name)
	}
	cache, err := build.OpenCache(progress)
	if err != nil {
		return err
	}
	programs, err := cache.Ensure(ctx, selection(settings))
	if err != nil {
		return err
	}
	c := &cluster{layout: layout{dir: dir, settings: settings}, programs: programs, progress: progress}
	snapshot := filepath.Join(dir.Path, snapshotEntry)
	defer os.Remove(snapshot)
	if err := c.takeSnapshot(ctx, snapshot); err != nil {
		return err
	}
	entries := append([]string{settingsEntry}, append(identityEntries(), snapshotEntry)...)
	if err := tarball.Write(file, dir.Path, entries); err != nil {
		return fmt.Errorf("saving cluster %s: %w", dir.Name, err)
	}
	fmt.Fprintf(progress, "cluster %s is saved in %s\n", dir.Name, file)
	return nil
}

func (c *cluster) takeSnapshot(ctx context.Context, file string) error {
	pki := c.dir.PKI()
	return c.tool(ctx, "etcdctl", "snapshot", "save", file,
		"--endpoints="+c.url("https", portEtcd, ""),
		"--cacert="+pki.Cert("etcd/ca"),
		"--cert="+pki.Cert("etcd/healthcheck-client"),
		"--key="+pki.Key("etcd/healthcheck-client"))
}

// savedSettings reads what the archived cluster was brought up with.
func savedSettings(archive string) (state.Settings, error) {
	data, err := tarball.ReadFirst(archive, settingsEntry)
	if err != nil {
		return state.Settings{}, fmt.Errorf("%s is not an archive that `save` wrote: %w", archive, err)
	}
	var settings state.Settings
	if err := json.Unmarshal(data, &settings); err != nil {
		return state.Settings{}, fmt.Errorf("reading the settings in %s: %w", archive, err)
	}
	return settings, nil
}

// restore puts the archived identity and data in place, before anything is
// started. It does nothing when a cluster's data is there already.
func (c *cluster) restore(ctx context.Context, archive string) error {
	if _, err := os.Stat(c.dir.EtcdData()); err == nil {
		return errors.New("etcd has data already")
	}
	if err := tarball.Extract(archive, c.dir.Path, append(identityEntries(), snapshotEntry)); err != nil {
		return err
	}
	snapshot := filepath.Join(c.dir.Path, snapshotEntry)
	peer := fmt.Sprintf("https://%s:%s", c.etcdAddress(), c.port(portEtcdPeer))
	if err := c.tool(ctx, "etcdutl", "snapshot", "restore", snapshot,
		"--data-dir="+c.dir.EtcdData(),
		"--name="+etcdMember,
		"--initial-cluster="+etcdMember+"="+peer,
		"--initial-advertise-peer-urls="+peer); err != nil {
		return err
	}
	return os.Remove(snapshot)
}

// tool runs one of etcd's programs to its end.
func (c *cluster) tool(ctx context.Context, name string, args ...string) error {
	output, err := exec.CommandContext(ctx, c.programs[name], args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s %s: %w\n%s", name, args[0], args[1], err, output)
	}
	return nil
}
