package connection

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// progressEvery keeps the progress line from flickering.
const progressEvery = 100 * time.Millisecond

// progress is one line on a terminal that tells how much was read; elsewhere
// it is silent.
type progress struct {
	out io.Writer // nil where there is no terminal

	mu      sync.Mutex
	objects map[cluster.Kind]int
	shown   time.Time
}

func newProgress(errOut io.Writer) *progress {
	p := &progress{objects: map[cluster.Kind]int{}, shown: time.Now()}
	if file, ok := errOut.(*os.File); ok && printers.IsTerminal(file) && os.Getenv("TERM") != "dumb" {
		p.out = errOut
	}
	return p
}

// page notes the objects of a kind read so far.
func (p *progress) page(kind cluster.Kind, objects int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects[kind] = objects
	if p.out == nil || time.Since(p.shown) < progressEvery {
		return
	}
	p.shown = time.Now()
	total := 0
	for _, n := range p.objects {
		total += n
	}
	fmt.Fprintf(p.out, "\r\x1b[Kreading: %d objects of %d kinds, last %s", total, len(p.objects), kind)
}

func (p *progress) clear() {
	if p.out != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
