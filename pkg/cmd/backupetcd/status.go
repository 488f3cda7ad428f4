package backupetcd

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/disk"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
)

// statusEvery keeps the line from flickering.
const statusEvery = 200 * time.Millisecond

// status is one line on a terminal that tells what is being done; elsewhere it
// is silent.
type status struct {
	out io.Writer // nil where there is no terminal
	err io.Writer

	mu           sync.Mutex
	doing        string
	began, shown time.Time
}

func newStatus(errOut io.Writer) *status {
	s := &status{err: errOut}
	if file, ok := errOut.(*os.File); ok && printers.IsTerminal(file) && os.Getenv("TERM") != "dumb" {
		s.out = errOut
	}
	return s
}

// step says what begins.
func (s *status) step(doing string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doing, s.began = doing, time.Now()
	s.line(doing + " …")
}

// bytes says how far the step is: rate, and when it will be done. total is 0
// while it is unknown.
func (s *status) bytes(done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.shown) < statusEvery {
		return
	}
	s.shown = time.Now()
	spent := time.Since(s.began).Seconds()
	rate := float64(done) / max(spent, 0.001)
	text := fmt.Sprintf("%s: %s", s.doing, disk.Size(done))
	if total > 0 {
		text += fmt.Sprintf(" of %s, %d %%", disk.Size(total), done*100/total)
	}
	text += fmt.Sprintf(", %s/s", disk.Size(int64(rate)))
	if total > done && rate > 0 {
		text += fmt.Sprintf(", %s left", time.Duration(float64(total-done)/rate*float64(time.Second)).Round(time.Second))
	}
	s.line(text)
}

func (s *status) line(text string) {
	if s.out != nil {
		fmt.Fprintf(s.out, "\r\x1b[K%s", text)
	}
}

func (s *status) clear() {
	if s.out != nil {
		fmt.Fprint(s.out, "\r\x1b[K")
	}
}

// say prints a line of its own above.
func (s *status) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintln(s.err, printer.EscapeLines(fmt.Sprintf(format, args...)))
}
