//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// prober asks Services without a pause, and counts who does not answer.
type prober struct {
	stop chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex
	asked  map[string]int
	failed map[string][]string
}

// probe asks the Services of a namespace that answer now.
func (c *testCluster) probe(t *testing.T, namespace string) *prober {
	t.Helper()
	p := &prober{stop: make(chan struct{}), asked: map[string]int{}, failed: map[string][]string{}}
	out := c.must(t, "get", "services", "-n", namespace, "-o", `jsonpath={range .items[*]}{.metadata.name} {.spec.clusterIP} {.spec.ports[0].port}{"\n"}{end}`)
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[1] == "None" {
			continue
		}
		name, url := fields[0], "http://"+fields[1]+":"+fields[2]+"/healthz"
		if err := ask(url); err != nil {
			t.Logf("Service %s does not answer before anything is changed: %v", name, err)
			continue
		}
		p.done.Go(func() { p.run(name, url) })
	}
	return p
}

// ask makes one request on a connection of its own, as a new client would.
func ask(url string) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

func (p *prober) run(name, url string) {
	for {
		select {
		case <-p.stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		err := ask(url)
		p.mu.Lock()
		p.asked[name]++
		if err != nil {
			p.failed[name] = append(p.failed[name], time.Now().Format(time.TimeOnly)+" "+err.Error())
		}
		p.mu.Unlock()
	}
}

// end stops the prober; every request was to be answered.
func (p *prober) end(t *testing.T) {
	t.Helper()
	close(p.stop)
	p.done.Wait()
	for name, asked := range p.asked {
		t.Logf("Service %s: %d requests, %d not answered", name, asked, len(p.failed[name]))
		if len(p.failed[name]) > 0 {
			t.Errorf("Service %s: %d of %d requests were not answered: %v", name, len(p.failed[name]), asked, p.failed[name])
		}
	}
	if len(p.asked) == 0 {
		t.Error("no Service was asked")
	}
}
