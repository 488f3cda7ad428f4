// Package build compiles the programs of a cluster from pinned Go modules and
// keeps them in a cache that all clusters of the user share.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// Cache is a directory of built programs.
type Cache struct {
	Dir      string
	Progress io.Writer // one line when a build begins, one when it ends
}

// OpenCache returns the user's cache, following the XDG base directory
// specification. The directory is made when something is built.
func OpenCache(progress io.Writer) (Cache, error) {
	dir := os.Getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return Cache{}, fmt.Errorf("finding the cache directory: %w", err)
		}
		dir = filepath.Join(home, ".cache")
	}
	return Cache{Dir: filepath.Join(dir, "kubectl-prod"), Progress: progress}, nil
}

// job is a program to have, where it is to lie and how it is built.
type job struct {
	name   string
	target string
	build  func(ctx context.Context, target string) error
}

// Ensure returns the paths of all selected programs by name, building those that
// the cache lacks. Several processes may call it at once: one builds, the others
// wait.
func (c Cache) Ensure(ctx context.Context, selection Selection) (map[string]string, error) {
	jobs, err := c.jobs(selection)
	if err != nil {
		return nil, err
	}
	return c.have(ctx, jobs)
}

// EnsureAside returns the paths of the programs of a group that is no part of a
// cluster, likewise.
func (c Cache) EnsureAside(ctx context.Context, name string) (map[string]string, error) {
	for _, group := range Aside() {
		if group.Name != name {
			continue
		}
		jobs, err := c.groupJobs(group, true)
		if err != nil {
			return nil, err
		}
		return c.have(ctx, jobs)
	}
	return nil, fmt.Errorf("nothing named %s can be built aside", name)
}

func (c Cache) have(ctx context.Context, jobs []job) (map[string]string, error) {
	if len(missing(jobs)) > 0 {
		if err := c.buildMissing(ctx, jobs); err != nil {
			return nil, err
		}
	}
	paths := make(map[string]string, len(jobs))
	for _, j := range jobs {
		paths[j.name] = j.target
	}
	return paths, nil
}

func (c Cache) jobs(selection Selection) ([]job, error) {
	groups, err := selection.Groups()
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, group := range groups {
		some, err := c.groupJobs(group, selection.Node)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, some...)
	}
	if !selection.Node {
		return jobs, nil
	}
	own, err := c.imageJobs()
	return append(jobs, own...), err
}

func (c Cache) groupJobs(group Group, node bool) ([]job, error) {
	l, err := group.lock()
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, program := range group.Programs {
		if program.Node && !node {
			continue
		}
		jobs = append(jobs, job{
			name:   program.Name,
			target: filepath.Join(c.Dir, "bin", group.key(l), program.Name),
			build: func(ctx context.Context, target string) error {
				return c.compile(ctx, group, l, program, target)
			},
		})
	}
	return jobs, nil
}

func missing(jobs []job) []job {
	var absent []job
	for _, j := range jobs {
		if _, err := os.Stat(j.target); errors.Is(err, fs.ErrNotExist) {
			absent = append(absent, j)
		}
	}
	return absent
}

func (c Cache) buildMissing(ctx context.Context, jobs []job) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("building the cluster's programs needs the go command: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fmt.Errorf("creating the cache: %w", err)
	}
	lock := flock.New(filepath.Join(c.Dir, "build.lock"))
	if locked, err := lock.TryLock(); err == nil && !locked {
		fmt.Fprintln(c.Progress, "waiting for another build to end …")
	}
	if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return fmt.Errorf("waiting for another build: %w", err)
	}
	defer lock.Unlock() //nolint:errcheck // closing the file cannot leave it locked

	start := time.Now()
	absent := missing(jobs)
	for i, j := range absent {
		fmt.Fprintf(c.Progress, "building %s %d/%d …\n", j.name, i+1, len(absent))
		begun := time.Now()
		if err := j.build(ctx, j.target); err != nil {
			return fmt.Errorf("building %s: %w", j.name, err)
		}
		fmt.Fprintf(c.Progress, "built %s %d/%d in %s (%s in all)\n", j.name, i+1, len(absent), seconds(begun), seconds(start))
	}
	return nil
}

func seconds(since time.Time) time.Duration { return time.Since(since).Round(100 * time.Millisecond) }

// compile writes beside target and renames, so that a half-written binary is
// never taken for a whole one.
func (c Cache) compile(ctx context.Context, group Group, l lock, program Program, target string) error {
	module := filepath.Join(c.Dir, "build", group.key(l))
	if err := l.writeModule(module); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-ldflags", group.ldflags(l.version)}
	if group.Tags != "" {
		args = append(args, "-tags", group.Tags)
	}
	return goBuild(ctx, module, append(args, "-o", target+".part", program.Package), target)
}

func goBuild(ctx context.Context, dir string, args []string, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("creating the cache: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// The caller's GOFLAGS and workspace are meant for the caller's module.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	// A group of its own lets us end the compilers together with go.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), removeIfThere(target+".part"))
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, lastLines(string(output), 20))
	}
	return os.Rename(target+".part", target)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lastLines leaves out the downloads that precede what went wrong.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
