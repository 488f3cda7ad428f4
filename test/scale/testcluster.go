package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// testCluster is one cluster of test/cluster, driven as a person would.
type testCluster struct {
	program string // test/cluster, built
	name    string
}

func (c testCluster) up(ctx context.Context, args ...string) error {
	return c.run(ctx, append([]string{"up", "--fast"}, args...)...)
}

// down takes the cluster down even when ctx has ended: nothing is left running.
func (c testCluster) down(ctx context.Context) error {
	return c.run(context.WithoutCancel(ctx), "down")
}

func (c testCluster) save(ctx context.Context, file string) error {
	return c.run(ctx, "save", file)
}

func (c testCluster) kubeconfig(ctx context.Context) (string, error) {
	var out bytes.Buffer
	cmd := c.command(ctx, "kubeconfig")
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("asking %s for its kubeconfig: %w", c.name, err)
	}
	return strings.TrimSpace(out.String()), nil
}

// run shows the cluster's own progress on stderr.
func (c testCluster) run(ctx context.Context, args ...string) error {
	if err := c.command(ctx, args...).Run(); err != nil {
		return fmt.Errorf("%s %s of cluster %s (`make bench` builds it): %w", c.program, args[0], c.name, err)
	}
	return nil
}

func (c testCluster) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.program, append(args, "--name", c.name)...)
	// An interrupt lets it end what it has started.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd
}
