package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

const (
	// mostOthers are the requests beside LISTs: discovery, and the probes of a
	// bounded number of nodes.
	mostOthers = 160
	perPage    = 500
)

// count holds what each verb asks of a fleet's API server, in numbers that no
// machine changes: it measures no time.
func (b *bench) counts(ctx context.Context, out io.Writer) (err error) {
	cluster := testCluster{program: b.cluster, name: fmt.Sprintf("count-%d-%d", b.size.Nodes, b.size.Pods)}
	defer func() { err = errors.Join(err, cluster.down(ctx)) }()
	// Without the detour over an archive: a fleet for this is small.
	if err := cluster.up(ctx, "--nodes", strconv.Itoa(b.size.Nodes)); err != nil {
		return err
	}
	if b.kubeconfig, err = cluster.kubeconfig(ctx); err != nil {
		return err
	}
	if err := fill(ctx, b.kubeconfig, b.size); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "kubectl-prod-scale-")
	if err != nil {
		return fmt.Errorf("making a scratch directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	asker, err := newLister(b.kubeconfig)
	if err != nil {
		return err
	}
	var wrong []string
	for _, v := range verbs("worker-a1") {
		var seen traffic
		server, kubeconfig, err := seen.proxy(b.kubeconfig, scratch)
		if err != nil {
			return err
		}
		_, err = b.found(run(ctx, kubeconfig, b.plugin, v.args...))
		server.Close()
		if err != nil {
			return err
		}
		more, told, err := seen.hold(ctx, asker, v)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, told)
		wrong = append(wrong, more...)
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}

// hold tells what was asked, and what of it is too much.
func (t *traffic) hold(ctx context.Context, asker *lister, v verb) (wrong []string, told string, err error) {
	name, objects, pages := v.name, 0, 0
	for _, l := range t.lists {
		n, err := asker.list(ctx, l.request)
		if err != nil {
			return nil, "", err
		}
		objects, pages = objects+n, pages+l.pages
		// An object more or less since then may be a page more.
		if least := (n + perPage - 1) / perPage; l.pages > max(1, least)+1 {
			wrong = append(wrong, fmt.Sprintf("%s: %d pages for %d %s", name, l.pages, n, l.name()))
		}
	}
	for _, twice := range t.twice() {
		wrong = append(wrong, name+": listed more than once: "+twice)
	}
	most := mostOthers
	if v.looksAgain {
		most += objects
	}
	if len(t.others) > most {
		wrong = append(wrong, fmt.Sprintf("%s: %d requests beside its LISTs, and at most %d are due", name, len(t.others), most))
	}
	if len(t.lists) == 0 || objects == 0 {
		wrong = append(wrong, name+": no LIST was seen, so that nothing was held")
	}
	if t.watches > 0 {
		wrong = append(wrong, name+": "+strconv.Itoa(t.watches)+" watches")
	}
	return wrong, fmt.Sprintf("%s: %d objects of %d kinds in %d pages, %d other requests, %s", name, objects, len(t.lists), pages, len(t.others), megabytes(t.bytes)), nil
}
