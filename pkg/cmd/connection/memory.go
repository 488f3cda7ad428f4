package connection

import (
	"os"
	"runtime/debug"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

const (
	// memoryLimit keeps a run over 20,000 pods, of which 140 MB are alive at
	// its end, below 300 MB in all, the program's own pages included.
	memoryLimit = 210 << 20
	// garbage is how much of it there may be before it is collected, in percent
	// of what is alive: within the limit, memory is cheaper than the collector.
	garbage = 400
	// manyPods is where the limit comes too close to what is alive, and the
	// collector would run all the time: beyond it the limit grows with the pods.
	manyPods = 25_000
	// perPod is what it is then for each of them. Of 100,000 pods 8 KiB cost 36 s
	// of CPU, 12 KiB 22 to 32, and no limit 12 s; at 1.1, 1.3 and 2.0 GB.
	perPod = 12 << 10
)

// memory bounds the memory of a read.
type memory struct{ bounded bool }

// boundMemory sets the limit, unless the environment chooses.
func boundMemory() memory {
	m := memory{bounded: os.Getenv("GOMEMLIMIT") == "" && os.Getenv("GOGC") == ""}
	if m.bounded {
		debug.SetMemoryLimit(memoryLimit)
		debug.SetGCPercent(garbage)
	}
	return m
}

// page widens the limit for a cluster that is too large for it.
func (m memory) page(kind cluster.Kind, objects int) {
	if m.bounded && kind == cluster.Pods && objects > manyPods {
		debug.SetMemoryLimit(int64(objects) * perPod)
	}
}
