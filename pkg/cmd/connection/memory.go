package connection

import (
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// memoryLimit keeps a run over 20,000 pods, of which 125 MB are alive at
	// its end, below 300 MB in all, some 85 MB of the program itself included.
	memoryLimit = 200 << 20
	// garbage is how much of it there may be before it is collected, in percent
	// of what is alive: within the limit, memory is cheaper than the collector.
	garbage = 400
	// usual is more than is alive of those 20,000 pods, and room what each byte
	// more widens the limit by, in percent. Limits of so many percent of all that
	// was alive, 740 MB of 100,000 pods, cost 20 s of CPU at 150, 15 s at 170 and
	// 13 s at 200, with 1.07, 1.10 and 1.25 GB; one below what is alive keeps the
	// collector running all the time.
	usual = 140 << 20
	room  = 170
)

// memory bounds the memory of a read.
type memory struct{ bounded bool }

// boundMemory sets the limit, unless the environment chooses.
func boundMemory() memory {
	m := memory{bounded: isBounded()}
	if m.bounded {
		debug.SetMemoryLimit(memoryLimit)
		debug.SetGCPercent(garbage)
	}
	return m
}

// follow widens the limit for a cluster that is too large for it: it is called
// as pages come.
func (m memory) follow() {
	if m.bounded {
		debug.SetMemoryLimit(limitFor(alive()))
	}
}

// MakeRoom takes the limit away after a read, for a command that makes much of what
// was read: where that leaves no room for garbage, the collector runs all the time.
// Room is in proportion from then on.
func MakeRoom() {
	if isBounded() {
		debug.SetMemoryLimit(math.MaxInt64)
		debug.SetGCPercent(room - 100)
	}
}

// isBounded reports whether the limit is ours to set: the environment may choose.
func isBounded() bool { return os.Getenv("GOMEMLIMIT") == "" && os.Getenv("GOGC") == "" }

// limitFor is the limit, in bytes, where so many of them are in use.
func limitFor(alive int64) int64 { return memoryLimit + max(0, alive-usual)*room/100 }

// alive is how many bytes the last collection found in use.
func alive() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()) //nolint:gosec // no heap has 2^63 bytes
}
