package connection

import (
	"math"
	"os"
	"runtime/debug"
	"sync/atomic"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

const (
	// memoryLimit keeps a run over 20,000 pods, of which 170 MB are alive at
	// its end, below 300 MB in all: without it the garbage collector lets the
	// heap grow to twice what is alive.
	memoryLimit = 250 << 20
	// manyPods is where the limit comes too close to what is alive: beyond it
	// the collector would run all the time, and memory grows with the cluster.
	manyPods = 25_000
)

// memory bounds the memory of a read.
type memory struct{ lifted atomic.Bool }

// boundMemory sets the limit, unless the environment sets one.
func boundMemory() *memory {
	m := &memory{}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	} else {
		m.lifted.Store(true)
	}
	return m
}

// page lifts the limit for a cluster that is too large for it.
func (m *memory) page(kind cluster.Kind, objects int) {
	if kind == cluster.Pods && objects > manyPods && m.lifted.CompareAndSwap(false, true) {
		debug.SetMemoryLimit(math.MaxInt64)
	}
}
