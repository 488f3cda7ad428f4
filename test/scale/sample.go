package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"time"
)

// sample is what one run of a process took.
type sample struct {
	wall time.Duration
	cpu  time.Duration // its own, user and system
	// memory is its peak resident set in bytes. Linux counts the parent's in
	// until exec, which is why [slim] comes first.
	memory int64
}

// run runs a program to its end and returns its stdout. A program that fails is
// measured too, and its error is an [exec.ExitError].
func run(ctx context.Context, kubeconfig, program string, args ...string) (sample, []byte, error) {
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	slim()
	start := time.Now()
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return sample{}, nil, fmt.Errorf("%s: %w", program, err)
	}
	taken := sample{
		wall:   time.Since(start),
		cpu:    cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		memory: peakMemory(cmd.ProcessState),
	}
	if err != nil {
		err = fmt.Errorf("%s %q: %w\n%s", program, args, err, errOut.Bytes())
	}
	return taken, out.Bytes(), err
}

// slim gives back what this program does not use, and has its own peak forgotten,
// where that can be: a child would inherit it as its own.
func slim() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // Linux alone has it
}

// samples are runs of the same program.
type samples []sample

func (all samples) wall() time.Duration {
	return median(all, func(s sample) time.Duration { return s.wall })
}

func (all samples) cpu() time.Duration {
	return median(all, func(s sample) time.Duration { return s.cpu })
}

func (all samples) memory() int64 {
	return median(all, func(s sample) int64 { return s.memory })
}

// spread is the quickest and the slowest run.
func (all samples) spread() (least, most time.Duration) {
	least, most = all[0].wall, all[0].wall
	for _, s := range all {
		least, most = min(least, s.wall), max(most, s.wall)
	}
	return least, most
}

// median is the upper one where there are two.
func median[T ~int64](all samples, of func(sample) T) T {
	var values []T
	for _, s := range all {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
