// Package plane runs the control plane of a cluster and the simulated nodes.
package plane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gofrs/flock"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/build"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/machine"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/ports"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/state"
)

// etcdMember is the name of the one member, which a restored snapshot must repeat.
const etcdMember = "control-plane"

// Options say how to bring a cluster up.
type Options struct {
	Node    bool   // a real node; root on Linux only
	Nodes   int    // simulated nodes
	Fast    bool   // trade durability for speed
	Encrypt bool   // Secrets are encrypted at rest
	Audit   bool   // the API server keeps an audit log
	Restore string // an archive that Save wrote, or ""
	Frozen  bool   // etcd and the API server alone, so that what was saved stays as it was
	// Kubernetes is the minor to run: "" for the newest, or build.Oldest.
	Kubernetes string
	Progress   io.Writer // a line a step
}

// cluster is a cluster in the course of one command.
type cluster struct {
	layout
	version  string // of Kubernetes
	programs map[string]string
	clients  clients
	health   *http.Client
	progress io.Writer
}

// Up brings the cluster up, or repairs it when some of its processes have
// ended, and returns when it can be used. A cluster that could not be brought
// up, or whose bringing up was cancelled, is taken down again.
func Up(ctx context.Context, dir state.Dir, options Options) error {
	unlock, err := acquire(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()

	settings, exists, err := dir.Load()
	if err != nil {
		return err
	}
	if exists {
		return repair(ctx, dir, settings, options)
	}
	if err := create(ctx, dir, options); err != nil {
		// The context may be what ended it; taking down must not end with it.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return errors.Join(err, down(clean, dir))
	}
	return nil
}

// acquire makes the commands on one cluster wait for each other.
func acquire(ctx context.Context, dir state.Dir) (func(), error) {
	if err := makeParent(dir.LockFile()); err != nil {
		return nil, err
	}
	lock := flock.New(dir.LockFile())
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return nil, fmt.Errorf("waiting for another command on cluster %s: %w", dir.Name, err)
	}
	return func() { _ = lock.Unlock() }, nil
}

func repair(ctx context.Context, dir state.Dir, settings state.Settings, options Options) error {
	if options.Restore != "" {
		return fmt.Errorf("cluster %s exists already: take it down before restoring", dir.Name)
	}
	if options.Kubernetes != settings.Kubernetes {
		return fmt.Errorf("cluster %s exists with another Kubernetes: take it down first", dir.Name)
	}
	if options.Node && !settings.Node {
		return fmt.Errorf("cluster %s exists without a real node: take it down first", dir.Name)
	}
	if report, err := Inspect(ctx, dir); err == nil && report.Healthy() {
		fmt.Fprintf(options.Progress, "cluster %s is already up\n", dir.Name)
		return nil
	}
	fmt.Fprintf(options.Progress, "repairing cluster %s\n", dir.Name)
	return bringUp(ctx, dir, settings, options)
}

func create(ctx context.Context, dir state.Dir, options Options) error {
	if options.Frozen && (options.Restore == "" || options.Node) {
		return errors.New("--frozen goes with --restore, and without --node: it shows what was saved")
	}
	if options.Node {
		if err := machine.Preflight(dir); err != nil {
			return err
		}
	}
	settings, err := chooseSettings(options)
	if err != nil {
		return err
	}
	if err := dir.Make(); err != nil {
		return err
	}
	if err := dir.Save(settings); err != nil {
		return err
	}
	return bringUp(ctx, dir, settings, options)
}

func chooseSettings(options Options) (state.Settings, error) {
	settings := state.Settings{Node: options.Node, Nodes: options.Nodes, Fast: options.Fast, Encrypt: options.Encrypt, Audit: options.Audit, Frozen: options.Frozen, Kubernetes: options.Kubernetes, Ports: map[string]int{}}
	if options.Restore != "" {
		saved, err := savedSettings(options.Restore)
		if err != nil {
			return state.Settings{}, err
		}
		if saved.Node != options.Node {
			return state.Settings{}, fmt.Errorf("%s was saved with --node=%t: restore it so", options.Restore, saved.Node)
		}
		settings.Nodes, settings.Encrypt = saved.Nodes, saved.Encrypt
	}
	if settings.Node {
		settings.NodeName, settings.NodeIP = machine.NodeName, machine.NodeIP
	}
	free, err := ports.Free(len(portNames()))
	if err != nil {
		return state.Settings{}, err
	}
	for i, name := range portNames() {
		settings.Ports[name] = free[i]
	}
	return settings, nil
}

func bringUp(ctx context.Context, dir state.Dir, settings state.Settings, options Options) error {
	version, err := selection(settings).KubernetesVersion()
	if err != nil {
		return err
	}
	cache, err := build.OpenCache(options.Progress)
	if err != nil {
		return err
	}
	programs, err := cache.Ensure(ctx, selection(settings))
	if err != nil {
		return err
	}
	c := &cluster{
		layout:   layout{dir: dir, settings: settings},
		version:  version,
		programs: programs,
		progress: options.Progress,
	}
	return c.run(ctx, c.steps(options.Restore))
}

func selection(settings state.Settings) build.Selection {
	return build.Selection{Node: settings.Node, Kubernetes: settings.Kubernetes}
}
