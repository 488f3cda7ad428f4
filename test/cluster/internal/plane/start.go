package plane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/proc"
)

const (
	pollInterval = 100 * time.Millisecond
	startTimeout = 90 * time.Second // a component takes a few seconds on an idle machine
	// fleetTimeout is for a fleet on a busy machine, where the scheduler reads
	// 20,000 pods before it is ready. A component that ends is told at once.
	fleetTimeout = 10 * time.Minute
	// healthTimeout is of one question; a starved process takes seconds to answer.
	healthTimeout = 10 * time.Second
)

// timeout is how long a component may take to get healthy.
func (l layout) timeout() time.Duration {
	if l.settings.Fast {
		return fleetTimeout
	}
	return startTimeout
}

// startAll starts those of the components that do not run and waits until all
// are healthy.
func (c *cluster) startAll(ctx context.Context, components ...component) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range components {
		var started proc.Started
		if _, running := c.dir.Processes().PID(part.name); !running {
			var err error
			if started, err = c.dir.Processes().Start(part.spec(c.programs)); err != nil {
				return errors.Join(err, group.Wait())
			}
		}
		group.Go(func() error { return c.awaitHealthy(ctx, part, started.Done) })
	}
	return group.Wait()
}

// awaitHealthy fails at once when the process ends; done is nil for a process
// that an earlier command started.
func (c *cluster) awaitHealthy(ctx context.Context, part component, done <-chan struct{}) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, c.timeout(), true, func(ctx context.Context) (bool, error) {
		select {
		case <-done:
			return false, fmt.Errorf("%s ended; the end of its log:\n%s", part.name, c.dir.Processes().Tail(part.name, 15))
		default:
			last = healthy(ctx, c.health, part.health)
			return last == nil, nil
		}
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("%s is not healthy after %s (%w); the end of its log:\n%s", part.name, c.timeout(), last, c.dir.Processes().Tail(part.name, 15))
	}
	return err
}

func healthy(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking for health: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}

func makeParent(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("creating the state directory: %w", err)
	}
	return nil
}
