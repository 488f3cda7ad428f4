package plane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/build"
	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
)

// step is a part of bringing a cluster up; each may be repeated.
type step struct {
	name string
	do   func(context.Context) error
}

func (c *cluster) steps(archive string) []step {
	var steps []step
	if archive != "" {
		steps = append(steps, step{"restoring the snapshot", func(ctx context.Context) error { return c.restore(ctx, archive) }})
	}
	steps = append(steps, step{"writing certificates and configuration", c.writeFiles})
	if c.settings.Node {
		steps = append(steps,
			step{"preparing this machine", c.prepareMachine},
			step{"starting containerd", c.startContainerd},
			step{"starting the kubelet, and etcd in a pod", c.startKubelet})
	} else {
		steps = append(steps, step{"starting etcd", c.startEtcd})
	}
	steps = append(steps, step{"starting the API server", c.startAPIServer})
	if c.settings.Frozen {
		return append(steps, step{"forgetting the metrics", c.forgetMetrics})
	}
	steps = append(steps,
		step{"applying add-ons", c.applyAddOns},
		step{"starting controllers and nodes", c.startRest},
	)
	if c.settings.Node {
		steps = append(steps, step{"starting kube-proxy and DNS", c.finishRealNode})
	}
	return append(steps, step{"waiting for nodes and metrics", c.awaitUsable})
}

func (c *cluster) run(ctx context.Context, steps []step) error {
	start := time.Now()
	for i, s := range steps {
		fmt.Fprintf(c.progress, "%s %d/%d … (%s)\n", s.name, i+1, len(steps), time.Since(start).Round(100*time.Millisecond))
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	fmt.Fprintf(c.progress, "cluster %s is up (%s)\n", c.dir.Name, time.Since(start).Round(100*time.Millisecond))
	return nil
}

func (c *cluster) writeFiles(context.Context) error {
	if err := c.dir.PKI().Ensure(leaves(c.settings.NodeName, c.nodeIPs()...)); err != nil {
		return err
	}
	if err := writeKubeconfigs(c.dir, c.settings); err != nil {
		return err
	}
	if err := c.writeKwokConfig(); err != nil {
		return err
	}
	if err := c.ensureEncryption(); err != nil {
		return err
	}
	if err := c.ensureAudit(); err != nil {
		return err
	}
	var err error
	if c.health, err = healthClient(c.dir.PKI()); err != nil {
		return err
	}
	if c.clients, err = newClients(c.dir); err != nil {
		return err
	}
	return c.linkPrograms()
}

func (c *cluster) nodeIPs() []string {
	if c.settings.NodeIP == "" {
		return nil
	}
	return []string{c.settings.NodeIP}
}

// writeKwokConfig joins our metrics with the stages that KWOK's own module
// holds: without stages it would not start.
func (c *cluster) writeKwokConfig() error {
	metrics, err := files.ReadFile("files/kwok.yaml")
	if err != nil {
		return fmt.Errorf("reading KWOK's configuration: %w", err)
	}
	documents := []string{
		string(metrics), nodefast.DefaultNodeInit, heartbeat.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete,
	}
	return os.WriteFile(c.dir.Config("kwok.yaml"), []byte(strings.Join(documents, "\n---\n")), 0o600)
}

// linkPrograms fills the directory that `env` puts on the PATH.
func (c *cluster) linkPrograms() error {
	for name, target := range c.programs {
		if strings.HasPrefix(name, build.ImageProgram("")) {
			continue // runs in pods alone
		}
		link := filepath.Join(c.dir.Bin(), name)
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replacing %s: %w", link, err)
		}
		if err := os.Symlink(target, link); err != nil {
			return fmt.Errorf("linking %s: %w", name, err)
		}
	}
	return nil
}

func (c *cluster) startEtcd(ctx context.Context) error {
	return c.startAll(ctx, c.etcd())
}

func (c *cluster) startAPIServer(ctx context.Context) error {
	return c.startAll(ctx, c.apiServer())
}

// startRest begins with the nodes and ends with metrics-server, so that its first
// round already finds something to measure.
func (c *cluster) startRest(ctx context.Context) error {
	if err := c.ensureNodes(ctx); err != nil {
		return err
	}
	if err := c.startAll(ctx, c.controllerManager(), c.scheduler(), c.kwok()); err != nil {
		return err
	}
	return c.startAll(ctx, c.metricsServer())
}
