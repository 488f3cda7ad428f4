package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	startRuns = 20
	// metricsTimeout is for three of metrics-server's rounds, a minute each: CPU is
	// told from two, and the first may fall into the restore.
	metricsTimeout = 3*time.Minute + 20*time.Second
)

// bench measures the plugin on a fleet.
type bench struct {
	size            Size
	cluster, plugin string // programs
	runs            int
	write           string // file to write the result into, "" for none
	kubeconfig      string // of a cluster to measure on; "" for a fleet
	fleet           bool   // whether it measures on a fleet
	frozen          bool   // whether that is as it was kept: an API server without controllers
	brief           bool   // whether it leaves out what takes minutes on a large fleet
}

// run fails when a count is wrong, never because something was slow: times
// depend on the machine and are for a person to judge.
func (b *bench) run(ctx context.Context, out io.Writer) (err error) {
	if b.fleet = b.kubeconfig == ""; b.fleet {
		cluster := testCluster{program: b.cluster, name: fmt.Sprintf("bench-%d-%d", b.size.Nodes, b.size.Pods)}
		defer func() { err = errors.Join(err, cluster.down(ctx)) }()
		if b.kubeconfig, err = b.restore(ctx, cluster); err != nil {
			return err
		}
		if !b.frozen {
			if err := awaitMetrics(ctx, b.kubeconfig, b.size.Nodes); err != nil {
				return err
			}
		}
	}
	result, err := b.measure(ctx)
	if err != nil {
		return err
	}
	text := result.markdown()
	if _, err := fmt.Fprint(out, text); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	if b.write != "" {
		if err := keep(b.write, text); err != nil {
			return err
		}
	}
	if twice := append(result.traffic.twice(), result.drain.traffic.twice()...); len(twice) > 0 {
		return fmt.Errorf("each kind is to be listed once, and these were not: %s", strings.Join(twice, ", "))
	}
	return nil
}

// restore brings the fleet back, after making it where it was never made.
func (b *bench) restore(ctx context.Context, cluster testCluster) (kubeconfig string, err error) {
	archive, err := b.size.archive()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(archive); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "there is no fleet of %d nodes and %d pods yet: making it, once\n", b.size.Nodes, b.size.Pods)
		if err := makeFleet(ctx, b.cluster, b.size); err != nil {
			return "", err
		}
	}
	args := []string{"--restore", archive}
	if b.frozen {
		args = append(args, "--frozen")
	}
	if err := cluster.up(ctx, args...); err != nil {
		return "", err
	}
	if kubeconfig, err = cluster.kubeconfig(ctx); err != nil {
		return "", err
	}
	return kubeconfig, nil
}

// awaitMetrics waits until every node's usage can be read, as on any cluster
// that has been up for a while. A machine too busy for that is no reason not to
// measure: the result tells how many nodes had one.
func awaitMetrics(ctx context.Context, kubeconfig string, nodes int) error {
	lister, err := newLister(kubeconfig)
	if err != nil {
		return err
	}
	usage := request{Path: "/apis/metrics.k8s.io/v1beta1/nodes", Accept: "application/json"}
	measured := 0
	err = wait.PollUntilContextTimeout(ctx, pollInterval, metricsTimeout, true, func(ctx context.Context) (bool, error) {
		n, err := lister.list(ctx, usage)
		if err == nil {
			measured = n
		}
		return measured >= nodes, nil // until metrics-server has started, an error is no answer
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "%d of %d nodes tell their usage\n", measured, nodes)
		return nil
	}
	return err
}

// name is the heading of the result.
func (b *bench) name() string {
	if b.fleet {
		name := fmt.Sprintf("%d nodes, %d pods", b.size.Nodes, b.size.Pods)
		if b.frozen {
			name += ", frozen"
		}
		return name
	}
	return "A cluster of one's own"
}

func (b *bench) measure(ctx context.Context) (*result, error) {
	scratch, err := os.MkdirTemp("", "kubectl-prod-scale-")
	if err != nil {
		return nil, fmt.Errorf("making a scratch directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	r := &result{name: b.name(), machine: thisMachine(), frozen: b.frozen}
	if r.cold, _, err = b.doctor(ctx, b.kubeconfig); err != nil {
		return nil, err
	}
	if err := b.count(ctx, r, scratch); err != nil {
		return nil, err
	}
	list, err := b.bareSide(ctx, scratch, &r.traffic, &r.objects)
	if err != nil {
		return nil, err
	}
	r.bare, r.doctor, err = alternate(b.runs, list, func() (sample, error) {
		once, _, err := b.doctor(ctx, b.kubeconfig)
		return once, err
	})
	if err != nil {
		return nil, err
	}
	if r.drain, err = b.drain(ctx, scratch); err != nil {
		return nil, err
	}
	if r.costs, err = b.costs(ctx, scratch, r.drain.node); err != nil {
		return nil, err
	}
	if r.other, err = b.others(ctx); err != nil {
		return nil, err
	}
	if b.fleet && !b.brief {
		if r.backup, err = b.backup(ctx, scratch); err != nil {
			return nil, err
		}
	}
	return r, b.start(ctx, r)
}

// count has doctor run once through a counting proxy, untimed.
func (b *bench) count(ctx context.Context, r *result, scratch string) error {
	server, kubeconfig, err := r.traffic.proxy(b.kubeconfig, scratch)
	if err != nil {
		return err
	}
	defer server.Close()
	_, out, err := b.doctor(ctx, kubeconfig)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, &r.diagnosis); err != nil {
		return fmt.Errorf("reading doctor's JSON: %w", err)
	}
	return complete(r.diagnosis)
}

// complete is an error when something was not read: then doctor had less to do
// than the bare side. Simulated nodes have no kubelet to ask.
func complete(d report.Diagnosis) error {
	for _, n := range d.NotChecked {
		if (n.State == "forbidden" || n.State == "failed") && !strings.HasPrefix(n.Subject, "nodes/proxy") {
			return fmt.Errorf("doctor did not read %s: %s", n.Subject, n.Reason)
		}
	}
	return nil
}

// alternate runs both sides so many times, in turn and the other first each
// time, so that what disturbs the machine for a while disturbs both.
func alternate(runs int, bare, ours func() (sample, error)) (listed, judged samples, err error) {
	for i := range runs {
		sides := []func() error{add(&listed, bare), add(&judged, ours)}
		if i%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			if err := side(); err != nil {
				return nil, nil, err
			}
		}
	}
	return listed, judged, nil
}

// add runs a side and adds what it took.
func add(to *samples, side func() (sample, error)) func() error {
	return func() error {
		once, err := side()
		*to = append(*to, once)
		return err
	}
}

// bareSide is the bare LIST of what traffic saw: it runs once, and notes how
// many objects each LIST gave.
func (b *bench) bareSide(ctx context.Context, scratch string, seen *traffic, objects *[]int) (func() (sample, error), error) {
	data, err := json.Marshal(seen.requests())
	if err != nil {
		return nil, fmt.Errorf("writing the LISTs to send: %w", err)
	}
	requests := filepath.Join(scratch, fmt.Sprintf("requests-%p.json", seen))
	if err := os.WriteFile(requests, data, 0o600); err != nil {
		return nil, fmt.Errorf("writing the LISTs to send: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	return func() (sample, error) {
		once, out, err := run(ctx, b.kubeconfig, self, "list", "--kubeconfig", b.kubeconfig, "--requests", requests)
		if err != nil {
			return sample{}, err
		}
		*objects = nil
		if err := json.Unmarshal(out, objects); err != nil {
			return sample{}, fmt.Errorf("reading the bare LIST's counts: %w", err)
		}
		return once, nil
	}, nil
}

// start measures what asks the cluster nothing.
func (b *bench) start(ctx context.Context, r *result) error {
	for _, args := range [][]string{{"version"}, {"--help"}, {"__complete", "doctor", "--check", ""}} {
		s := starts{name: strings.TrimSpace(strings.Join(args, " "))}
		for range startRuns {
			once, out, err := run(ctx, os.DevNull, b.plugin, args...)
			if err != nil {
				return err
			}
			s.samples = append(s.samples, once)
			if args[0] == "version" {
				r.version, _, _ = strings.Cut(string(out), "\n")
			}
		}
		r.starts = append(r.starts, s)
	}
	return nil
}

func (b *bench) doctor(ctx context.Context, kubeconfig string) (sample, []byte, error) {
	return run(ctx, kubeconfig, b.plugin, doctorArgs()...)
}
