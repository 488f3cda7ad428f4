package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	costRuns = 3
	idleFor  = 10 * time.Second
)

// verb is a run of the plugin.
type verb struct {
	name string
	args []string
	// looksAgain verbs read each object that they would write once more.
	looksAgain bool
	// takesMinutes verbs do, on thousands of nodes.
	takesMinutes bool
}

func verbs(node string) []verb {
	drain := []string{"drain-check", "--ignore-daemonsets", "--delete-emptydir-data", "-o", "json"}
	return []verb{
		{name: "doctor", args: doctorArgs()},
		{name: "doctor --now", args: append(doctorArgs(), "--now")},
		{name: "drain-check of one node", args: append(slices.Clone(drain), node)},
		{name: "drain-check --all --plan", args: append(slices.Clone(drain), "--all", "--plan"), takesMinutes: true},
		{name: "harden --dry-run=client", args: []string{"harden", "-A", "--dry-run=client", "-o", "json"}, looksAgain: true, takesMinutes: true},
	}
}

func doctorArgs() []string { return []string{"doctor", "--fail-on=none", "-o", "json"} }

// cost is what a verb costs, and what it asks of the API server.
type cost struct {
	name    string
	traffic traffic
	runs    samples
	server  []time.Duration // CPU that the API server took, beyond what it takes at rest
}

// costs runs each verb through a counting proxy, and then some times while the
// API server's CPU is looked at.
func (b *bench) costs(ctx context.Context, scratch, node string) ([]*cost, error) {
	asker, err := newLister(b.kubeconfig)
	if err != nil {
		return nil, err
	}
	rest, err := atRest(ctx, asker)
	if err != nil {
		return nil, err
	}
	var all []*cost
	for _, v := range verbs(node) {
		if b.brief && v.takesMinutes {
			continue
		}
		c := &cost{name: v.name}
		server, kubeconfig, err := c.traffic.proxy(b.kubeconfig, scratch)
		if err != nil {
			return nil, err
		}
		_, err = b.found(run(ctx, kubeconfig, b.plugin, v.args...))
		server.Close()
		if err != nil {
			return nil, err
		}
		for range min(costRuns, b.runs) {
			before, err := asker.processCPU(ctx)
			if err != nil {
				return nil, err
			}
			once, err := b.found(run(ctx, b.kubeconfig, b.plugin, v.args...))
			if err != nil {
				return nil, err
			}
			after, err := asker.processCPU(ctx)
			if err != nil {
				return nil, err
			}
			c.runs = append(c.runs, once)
			c.server = append(c.server, max(0, after-before-time.Duration(rest*float64(once.wall))))
		}
		all = append(all, c)
	}
	return all, nil
}

// found takes an exit code of 1 for the answer that it is.
func (b *bench) found(once sample, _ []byte, err error) (sample, error) {
	var exited *exec.ExitError
	if errors.As(err, &exited) && exited.ExitCode() == 1 {
		err = nil
	}
	return once, err
}

// atRest is the share of a core that the API server takes while nobody but the
// fleet's own components asks it.
func atRest(ctx context.Context, asker *lister) (float64, error) {
	before, err := asker.processCPU(ctx)
	if err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(idleFor):
	}
	after, err := asker.processCPU(ctx)
	return float64(after-before) / float64(idleFor), err
}

// processCPU is what the API server's process has taken since it started.
func (l *lister) processCPU(ctx context.Context) (time.Duration, error) {
	response, err := l.get(ctx, "/metrics", "text/plain")
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(io.Reader(response.Body))
	for lines.Scan() {
		if text, is := strings.CutPrefix(lines.Text(), "process_cpu_seconds_total "); is {
			taken, err := strconv.ParseFloat(text, 64)
			return time.Duration(taken * float64(time.Second)), err
		}
	}
	return 0, errors.Join(errors.New("the API server does not tell its CPU"), lines.Err())
}

// costTable is Markdown.
func costTable(all []*cost) string {
	var rows [][]string
	for _, c := range all {
		lists, pages := 0, 0
		for _, l := range c.traffic.lists {
			lists, pages = lists+l.starts, pages+l.pages
		}
		slices.Sort(c.server)
		rows = append(rows, []string{
			c.name, strconv.Itoa(pages + len(c.traffic.others)), strconv.Itoa(lists), megabytes(c.traffic.bytes),
			seconds(c.server[len(c.server)/2]), seconds(c.runs.wall()), seconds(c.runs.cpu()), megabytes(c.runs.memory()),
		})
	}
	return "### What it asks of the API server\n\n" +
		fmt.Sprintf("Medians of %d runs. The API server's CPU is what its own metrics tell, beyond what it takes at rest.\n\n", len(all[0].runs)) +
		table([]string{"", "requests", "LISTs", "before compression", "API server's CPU", "wall", "CPU", "peak memory"}, rows)
}
