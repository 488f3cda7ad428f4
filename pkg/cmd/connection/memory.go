package connection

import (
	"math"
	"os"
	"runtime/debug"
	"sync/atomic"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

const (
	// memoryLimit keeps a run over 20,000 pods, of which 140 MB are alive at
	// its end, below 300 MB in all, the program's own pages included.
	memoryLimit = 210 << 20
	// garbage is how much of it there may be before it is collected, in percent
	// of what is alive: within the limit, memory is cheaper than the collector.
	garbage = 400
	// manyPods is where the limit comes too close to what is alive: beyond it
	// the collector would run all the time, and memory grows with the cluster.
	manyPods = 25_000
	// usualGarbage is the runtime's own value.
	usualGarbage = 100
)

// memory bounds the memory of a read.
type memory struct{ lifted atomic.Bool }

// boundMemory sets the limit, unless the environment chooses.
func boundMemory() *memory {
	m := &memory{}
	if os.Getenv("GOMEMLIMIT") == "" && os.Getenv("GOGC") == "" {
		debug.SetMemoryLimit(memoryLimit)
		debug.SetGCPercent(garbage)
	} else {
		m.lifted.Store(true)
	}
	return m
}

// page lifts the limit for a cluster that is too large for it.
func (m *memory) page(kind cluster.Kind, objects int) {
	if kind == cluster.Pods && objects > manyPods && m.lifted.CompareAndSwap(false, true) {
		debug.SetGCPercent(usualGarbage)
		debug.SetMemoryLimit(math.MaxInt64)
	}
}
