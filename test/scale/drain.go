package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// The targets of drain-check.
const (
	targetMore = 500 * time.Millisecond // beyond the bare LIST, for one of targetNodes
	targetPlan = 30 * time.Second       // for targetNodes on 2 cores
)

// drained is what drain-check was measured at.
type drained struct {
	traffic         traffic
	node            string
	objects         []int
	bare, one, plan samples
	check, planned  report.DrainCheck
}

// drain measures drain-check of one node against a bare LIST of what it reads, in
// turn, and then the plan of all.
func (b *bench) drain(ctx context.Context, scratch string) (*drained, error) {
	d := &drained{node: "worker-a1"}
	server, kubeconfig, err := d.traffic.proxy(b.kubeconfig, scratch)
	if err != nil {
		return nil, err
	}
	_, err = b.drainCheck(ctx, kubeconfig, &d.check, d.node)
	server.Close()
	if err != nil {
		return nil, err
	}
	list, err := b.bareSide(ctx, scratch, &d.traffic, &d.objects)
	if err != nil {
		return nil, err
	}
	d.bare, d.one, err = alternate(b.runs, list, func() (sample, error) { return b.drainCheck(ctx, b.kubeconfig, &d.check, d.node) })
	if err != nil || b.brief {
		return d, err
	}
	for range b.runs {
		plan, err := b.drainCheck(ctx, b.kubeconfig, &d.planned, "--all", "--plan")
		if err != nil {
			return nil, err
		}
		d.plan = append(d.plan, plan)
	}
	return d, nil
}

// drainCheck runs once. That a drain would block or break something is an
// answer too.
func (b *bench) drainCheck(ctx context.Context, kubeconfig string, into *report.DrainCheck, args ...string) (sample, error) {
	args = append([]string{"drain-check", "--ignore-daemonsets", "--delete-emptydir-data", "-o", "json"}, args...)
	once, out, err := run(ctx, kubeconfig, b.plugin, args...)
	var exited *exec.ExitError
	if errors.As(err, &exited) && exited.ExitCode() == 1 {
		err = nil
	}
	if err != nil {
		return sample{}, err
	}
	*into = report.DrainCheck{}
	if err := json.Unmarshal(out, into); err != nil {
		return sample{}, fmt.Errorf("reading drain-check's JSON: %w", err)
	}
	return once, nil
}

func (d *drained) markdown(nodes int) string {
	more := d.one.wall() - d.bare.wall()
	objects := 0
	for _, n := range d.objects {
		objects += n
	}
	text := fmt.Sprintf("### drain-check\n\nOf %s: %s, %d pods to evict.", d.node, d.check.Verdict, d.check.Nodes[0].Evict)
	rows := [][]string{row("bare LIST of the same kinds", d.bare), row("drain-check of one node", d.one)}
	against := [][]string{
		sized(nodes, "one node − bare LIST", seconds(more), "≤ "+seconds(targetMore), more <= targetMore),
		{"one node ÷ bare LIST", fmt.Sprintf("%.2f", float64(d.one.wall())/float64(d.bare.wall())), "", ""},
		{"LISTs started more than once", fmt.Sprint(len(d.traffic.twice())), "0", verdict(len(d.traffic.twice()) == 0)},
	}
	if len(d.plan) > 0 {
		text += fmt.Sprintf(" Of all %d nodes: %d steps, %d pods moved.", len(d.planned.Nodes), len(d.planned.Plan.Steps), d.planned.Plan.Moves)
		rows = append(rows, row("drain-check --all --plan", d.plan))
		against = append(against, [][]string{
			sized(nodes, "plan", seconds(d.plan.wall()), "≤ "+seconds(targetPlan), d.plan.wall() <= targetPlan),
			{"plan ÷ bare LIST", fmt.Sprintf("%.2f", float64(d.plan.wall())/float64(d.bare.wall())), "", ""},
		}...)
	}
	return strings.Join([]string{
		text + fmt.Sprintf(" %d objects of %d kinds read.\n", objects, len(d.objects)),
		sides(len(d.one), rows),
		table([]string{"", "measured", "target", ""}, against),
	}, "\n")
}
