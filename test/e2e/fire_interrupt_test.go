//go:build e2e

package e2e

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/test/fault"
)

// interruptedEach interrupts each command while a request of it hangs, and holds
// that it ends within a second with the shells' code for that, and one line.
func (c *testCluster) interruptedEach(t *testing.T) {
	all := func(*http.Request) bool { return true }
	pods := func(r *http.Request) bool { return r.URL.Path == "/api/v1/pods" }
	budgets := func(r *http.Request) bool { return r.URL.Path == "/apis/policy/v1/poddisruptionbudgets" }
	backup := append([]string{"backup-etcd", "--to", t.TempDir()}, c.etcdFlags(t, "")...)
	for name, test := range map[string]struct {
		args  []string
		hangs func(*http.Request) bool
	}{
		"doctor at the first request":      {[]string{"doctor"}, all},
		"doctor --now":                     {[]string{"doctor", "--now"}, pods},
		"drain-check at the first request": {[]string{"drain-check", "worker-c1"}, all},
		"drain-check":                      {[]string{"drain-check", "worker-c1"}, pods},
		"drain-check --plan":               {[]string{"drain-check", "--all", "--plan"}, pods},
		"drain-check --watch":              {[]string{"drain-check", "worker-c1", "--watch"}, pods},
		"harden":                           {[]string{"harden", "-A", "--fix", "pdb-missing", "--dry-run=server"}, budgets},
		"harden, asking what it may":       {[]string{"harden", "-n", "shop", "--dry-run=server"}, func(r *http.Request) bool { return r.Method == http.MethodPost }},
		"backup-etcd":                      {backup, pods},
		"backup-etcd at the first request": {backup, all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := fault.NewProxy(t, c.kubeconfig)
			asked, hang := make(chan struct{}), fault.Hang()
			var once sync.Once
			proxy.Spoil(fault.Rule{Match: test.hangs, Fault: func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				once.Do(func() { close(asked) })
				hang(w, r, pass)
			}})
			command := c.pluginAt(t, proxy.Kubeconfig, nil, test.args...)
			endsWithin(t, command.Start, func() error {
				select {
				case <-asked:
				case <-time.After(30 * time.Second):
					t.Error("it does not send the request that was to hang")
				}
				return command.Process.Signal(os.Interrupt)
			}, command.Wait)
			if code := command.ProcessState.ExitCode(); code != 130 {
				t.Errorf("exit code %d", code)
			}
		})
	}
	for _, verb := range []string{"doctor", "harden"} {
		t.Run(verb+" of a pipe that nobody writes to", func(t *testing.T) {
			t.Parallel()
			pipe := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			command := c.pluginAt(t, c.kubeconfig, nil, verb, "-f", pipe)
			command.Stderr = &stderr
			opened := func() error { // a writer can open it once there is a reader; then the reader waits for its words
				writer, err := os.OpenFile(pipe, os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				t.Cleanup(func() { _ = writer.Close() })
				return command.Process.Signal(os.Interrupt)
			}
			endsWithin(t, command.Start, opened, command.Wait)
			if code := command.ProcessState.ExitCode(); code != 130 || !strings.Contains(stderr.String(), "interrupted") {
				t.Errorf("exit code %d: %s", code, stderr.String())
			}
		})
	}
}

// endsWithin starts, interrupts, and holds that the end comes within a second.
func endsWithin(t *testing.T, start, interrupt, wait func() error) {
	t.Helper()
	if err := start(); err != nil {
		t.Fatal(err)
	}
	if err := interrupt(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_ = wait() // its exit code tells
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %s to end", took)
	}
}
