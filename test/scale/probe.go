package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	probeEvery = 20 * time.Millisecond
	probeFor   = 20 * time.Second
	probePath  = "/api/v1/namespaces/default"
)

// probed is what another client, which reads one small object fifty times a
// second, waits for its answers.
type probed struct {
	waits  []time.Duration // sorted
	failed int
}

// other is that client without doctor, and while doctor runs again and again.
type other struct {
	without, with probed
	doctors       int // runs of doctor meanwhile
}

func (b *bench) others(ctx context.Context) (*other, error) {
	asker, err := newLister(b.kubeconfig)
	if err != nil {
		return nil, err
	}
	o := &other{}
	quiet, stop := context.WithTimeout(ctx, probeFor)
	o.without = probe(quiet, asker)
	stop()
	loud, stop := context.WithCancel(ctx)
	done := make(chan probed)
	go func() { done <- probe(loud, asker) }()
	for began := time.Now(); err == nil && time.Since(began) < probeFor; o.doctors++ {
		_, _, err = b.doctor(ctx, b.kubeconfig)
	}
	stop()
	o.with = <-done
	return o, err
}

// probe asks at a steady rate until ctx ends, whether or not answers come: who
// waits for one before asking again does not see how long others wait.
func probe(ctx context.Context, asker *lister) probed {
	var p probed
	var mu sync.Mutex
	var asking sync.WaitGroup
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			asking.Go(func() {
				began := time.Now()
				err := asker.readOne(context.WithoutCancel(ctx))
				mu.Lock()
				defer mu.Unlock()
				p.waits = append(p.waits, time.Since(began))
				if err != nil {
					p.failed++
				}
			})
		}
	}
	asking.Wait()
	slices.Sort(p.waits)
	return p
}

func (l *lister) readOne(ctx context.Context) error {
	response, err := l.get(ctx, probePath, "application/json")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// quantile is of sorted waits.
func (p probed) quantile(q float64) time.Duration {
	return p.waits[min(int(q*float64(len(p.waits))), len(p.waits)-1)]
}

func (o *other) markdown() string {
	row := func(name string, p probed) []string {
		cells := []string{name, strconv.Itoa(len(p.waits)), strconv.Itoa(p.failed)}
		for _, q := range []float64{0.5, 0.99, 1} {
			cells = append(cells, fmt.Sprintf("%.1f ms", float64(p.quantile(q))/float64(time.Millisecond)))
		}
		return cells
	}
	return "### Other clients\n\n" +
		fmt.Sprintf("How long a client waits that reads one namespace %d times a second, where doctor,\nthe API server and this client share the machine.\n\n", time.Second/probeEvery) +
		table([]string{"", "GETs", "failed", "median", "p99", "most"}, [][]string{
			row("without doctor", o.without),
			row(fmt.Sprintf("while doctor runs, %d times on end", o.doctors), o.with),
		})
}
