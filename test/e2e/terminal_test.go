//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// session is harden at a terminal.
type session struct {
	t       *testing.T
	tty     *os.File
	command *exec.Cmd

	mu  sync.Mutex
	out strings.Builder
}

func (h *hardened) at(t *testing.T, kubeconfig string, env []string, args ...string) *session {
	t.Helper()
	command := exec.Command(h.lookUp(t, "kubectl"), append([]string{"prod", "harden"}, args...)...)
	command.Env = append(os.Environ(), append([]string{"KUBECONFIG=" + kubeconfig, "PATH=" + h.path, "XDG_STATE_HOME=" + h.state, "NO_COLOR=1", "TERM=xterm"}, env...)...)
	tty, err := pty.StartWithSize(command, &pty.Winsize{Rows: 50, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, tty: tty, command: command}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := tty.Read(buffer)
			s.mu.Lock()
			s.out.Write(buffer[:n])
			s.mu.Unlock()
			if err != nil {
				return // the terminal closes with the program
			}
		}
	}()
	t.Cleanup(func() { _ = tty.Close() })
	return s
}

func (s *session) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

const prompt = "make this change? [y,n,a,s,e,q,?] "

// answer waits for the prompt that ends what was said, and answers it.
func (s *session) answer(text string) {
	s.t.Helper()
	s.await(prompt)
	s.mu.Lock()
	s.out.Reset()
	s.mu.Unlock()
	if _, err := io.WriteString(s.tty, text+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) await(text string) {
	s.t.Helper()
	eventually(s.t, time.Minute, func() error {
		if !strings.Contains(s.said(), text) {
			return fmt.Errorf("waiting for %q in:\n%s", text, s.said())
		}
		return nil
	})
}

// end waits for the program's end.
func (s *session) end() int {
	s.t.Helper()
	done := make(chan struct{})
	go func() { _ = s.command.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		s.t.Fatalf("it does not end:\n%s", s.said())
	}
	return s.command.ProcessState.ExitCode()
}
