package plane

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/state"
)

// Report is the state of a cluster's components.
type Report []Line

// Line is the state of one component.
type Line struct {
	Component string
	PID       int32 // 0 when there is no process
	Problem   string
}

// Healthy tells whether there are components and none has a problem.
func (r Report) Healthy() bool {
	for _, line := range r {
		if line.Problem != "" {
			return false
		}
	}
	return len(r) > 0
}

// Write prints the report as a table.
func (r Report) Write(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tPID\tSTATE")
	for _, line := range r {
		pid, problem := "-", "ready"
		if line.PID != 0 {
			pid = strconv.Itoa(int(line.PID))
		}
		if line.Problem != "" {
			problem = line.Problem
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", line.Component, pid, problem)
	}
	return table.Flush()
}

// Inspect looks at every component of the cluster. It fails when there is no
// such cluster.
func Inspect(ctx context.Context, dir state.Dir) (Report, error) {
	settings, exists, err := dir.Load()
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, fmt.Errorf("there is no cluster %s", dir.Name)
	}
	c := &cluster{layout: layout{dir: dir, settings: settings}}
	if c.health, err = healthClient(dir.PKI()); err != nil {
		return nil, err
	}
	var report Report
	for _, part := range c.components() {
		report = append(report, c.inspect(ctx, part))
	}
	if settings.Frozen {
		return report, nil
	}
	return append(report, c.inspectUsable(ctx)), nil
}

func (c *cluster) components() []component {
	if c.settings.Frozen {
		return []component{c.etcd(), c.apiServer()}
	}
	parts := []component{c.etcd(), c.apiServer(), c.controllerManager(), c.scheduler(), c.kwok(), c.metricsServer()}
	if c.settings.Node {
		parts = append([]component{c.containerd(), c.kubelet(), c.kubeProxy()}, parts...)
	}
	return parts
}

func (c *cluster) inspect(ctx context.Context, part component) Line {
	pid, running := c.dir.Processes().PID(part.name)
	if !running && !c.inPod(part) {
		return Line{Component: part.name, Problem: "not running"}
	}
	line := Line{Component: part.name, PID: pid}
	if err := healthy(ctx, c.health, part.health); err != nil {
		line.Problem = "not ready: " + err.Error()
	}
	return line
}

// inPod tells whether the component is a static pod and thus no process of ours.
func (c *cluster) inPod(part component) bool { return c.settings.Node && part.name == "etcd" }

func (c *cluster) inspectUsable(ctx context.Context) Line {
	line := Line{Component: "nodes and metrics"}
	var err error
	if c.clients, err = newClients(c.dir); err == nil {
		err = c.usable(ctx)
	}
	if err != nil {
		line.Problem = "not ready: " + err.Error()
	}
	return line
}
