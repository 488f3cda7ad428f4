// Command cluster brings up a real Kubernetes on this machine in one command,
// without a registry: it builds the real etcd, API server, controller manager,
// scheduler and kubectl from pinned Go modules and runs them as processes of
// the current user. See README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A closed stderr must not end us half-way, with processes left running.
	signal.Ignore(syscall.SIGPIPE)

	if err := newRootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
