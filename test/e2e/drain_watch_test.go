//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// lookBook collects what a command prints while it runs.
type lookBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lookBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// looks are the whole documents so far.
func (b *lookBook) looks() []report.DrainWatch {
	b.mu.Lock()
	defer b.mu.Unlock()
	decoder := json.NewDecoder(bytes.NewReader(b.text.Bytes()))
	var all []report.DrainWatch
	for {
		var look report.DrainWatch
		if err := decoder.Decode(&look); err != nil {
			return all
		}
		all = append(all, look)
	}
}

// start runs kubectl beside the test; wait returns its exit code.
func (c *testCluster) start(t *testing.T, out io.Writer, args ...string) (wait func() int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), c.lookUp(t, "kubectl"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "PATH="+c.path)
	command.Stdout = out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return func() int {
		_ = command.Wait() // the code says it
		return command.ProcessState.ExitCode()
	}
}

// followDrain has a real drain blocked by a budget, and a watch say so; what the
// watch says would release it is typed into a shell, and releases it.
func followDrain(t *testing.T, c *testCluster) {
	var watched lookBook
	drained := c.start(t, io.Discard, "drain", "worker-a1", "--ignore-daemonsets", "--timeout=3m")
	watching := c.start(t, &watched, "prod", "drain-check", "worker-a1", "--watch", "-o", "json")
	var waiting report.DrainWaitingPod
	eventually(t, time.Minute, func() error {
		looks := watched.looks()
		if len(looks) < 2 {
			return fmt.Errorf("%d looks so far", len(looks))
		}
		last := looks[len(looks)-1]
		for _, pod := range last.Pods {
			if pod.State == "waiting" && pod.Budget == "cart" && last.Nodes[0].Cordoned && last.Time.After(pod.Since.Time) && len(pod.Release) > 0 {
				waiting = pod
				return nil
			}
		}
		return fmt.Errorf("no pod waits for the budget: %+v", last)
	})
	if !strings.Contains(waiting.For, "minAvailable 2: 2 of 2 pods healthy, 2 needed, allows 0") {
		t.Errorf("waits for %q", waiting.For)
	}
	t.Logf("kubectl prod drain-check worker-a1\n%s", c.kubectl(t, nil, "prod", "drain-check", "worker-a1").stdout)
	released := run(t, []string{"KUBECONFIG=" + c.kubeconfig, "PATH=" + c.path}, "/bin/sh", "-c", waiting.Release[0])
	if released.code != 0 {
		t.Fatalf("%s: exit code %d, %s", waiting.Release[0], released.code, released.stderr)
	}
	if code := drained(); code != 0 {
		t.Errorf("kubectl drain ended with %d after %s", code, waiting.Release[0])
	}
	if code := watching(); code != 0 {
		t.Errorf("the watch ended with %d", code)
	}
	looks := watched.looks()
	if last := looks[len(looks)-1]; len(last.Pods) != 0 || last.Gone == 0 {
		t.Errorf("the last look: %+v", last)
	}
	drainQuestion{args: "worker-a1 --ignore-daemonsets", code: 0, stdout: []string{"SAFE node worker-a1 (cordoned already)", "there is nothing to evict"}}.ask(t, c)
	c.must(t, "uncordon", "worker-a1")
}
