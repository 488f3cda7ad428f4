// Package proc starts processes that outlive the program that started them, and
// ends exactly those again.
package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v4/process"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Spec says what to run. Its process is identified by its arguments, which
// therefore should name something unique, such as a path inside the cluster's
// state directory.
type Spec struct {
	Name string   // also the base name of the log and of the record
	Path string   // of the program
	Args []string // without the program itself
	Env  []string // added to this process's environment, as NAME=value
}

// Record is what is kept on disk of a started process.
type Record struct {
	PID     int32    `json:"pid"`
	Cmdline []string `json:"cmdline"`
}

// Table is a directory of records, one file a process, beside a directory of logs.
type Table struct {
	Records string
	Logs    string
}

// Started is a process that this program started and may watch.
type Started struct {
	Name string
	Done <-chan struct{} // closed when the process has ended
}

// Start runs spec in a session of its own, so that neither a closed terminal
// nor the end of this program ends it. Output is appended to the log.
func (t Table) Start(spec Spec) (Started, error) {
	log, err := os.OpenFile(t.LogFile(spec.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return Started{}, fmt.Errorf("opening the log of %s: %w", spec.Name, err)
	}
	defer log.Close()

	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env = append(os.Environ(), spec.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return Started{}, fmt.Errorf("starting %s: %w", spec.Name, err)
	}

	done := make(chan struct{})
	go func() {
		// The exit status is in the log in the process's own words; waiting
		// only keeps a dead child from lingering as a zombie.
		_ = cmd.Wait()
		close(done)
	}()
	record := Record{PID: int32(cmd.Process.Pid), Cmdline: cmd.Args}
	awaitCmdline(record.PID, done)
	if err := t.write(spec.Name, record); err != nil {
		_ = cmd.Process.Kill()
		return Started{}, err
	}
	return Started{Name: spec.Name, Done: done}, nil
}

// awaitCmdline returns once the process shows arguments, or has ended.
// exec.Cmd.Start may return a moment earlier: the kernel closes the pipe that it
// waits for before it fills /proc/PID/cmdline (fs/exec.c, begin_new_exec).
func awaitCmdline(pid int32, done <-chan struct{}) {
	for {
		if p, err := process.NewProcess(pid); err == nil {
			if cmdline, err := p.CmdlineSlice(); err == nil && len(cmdline) > 0 {
				return
			}
		}
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// LogFile is where the output of the named process is appended.
func (t Table) LogFile(name string) string { return filepath.Join(t.Logs, name+".log") }

func (t Table) recordFile(name string) string { return filepath.Join(t.Records, name+".json") }

func (t Table) write(name string, record Record) error {
	data, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encoding the record of %s: %w", name, err)
	}
	if err := os.WriteFile(t.recordFile(name), data, 0o600); err != nil {
		return fmt.Errorf("recording the process of %s: %w", name, err)
	}
	return nil
}

// PID returns the process ID of the named process, or false when it does not
// run: there is no record, the process has ended, or its ID now belongs to
// another one.
func (t Table) PID(name string) (int32, bool) {
	data, err := os.ReadFile(t.recordFile(name))
	if err != nil {
		return 0, false
	}
	var record Record
	if err := json.Unmarshal(data, &record); err != nil {
		return 0, false
	}
	return record.PID, record.alive()
}

// alive compares command lines rather than start times: a process whose
// arguments name our state directory is ours, and clock changes do not matter.
func (r Record) alive() bool {
	p, err := process.NewProcess(r.PID)
	if err != nil {
		return false
	}
	cmdline, err := p.CmdlineSlice()
	return err == nil && slices.Equal(cmdline, r.Cmdline)
}

// Names lists the recorded processes, whether they run or not.
func (t Table) Names() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(t.Records, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing process records: %w", err)
	}
	names := make([]string, 0, len(files))
	for _, file := range files {
		base := filepath.Base(file)
		names = append(names, base[:len(base)-len(".json")])
	}
	return names, nil
}

// Stop asks the named processes to end, waits up to grace for each, kills those
// that have not ended by then, and removes their records.
func (t Table) Stop(ctx context.Context, grace time.Duration, names ...string) error {
	for _, name := range names {
		if err := t.signal(name, syscall.SIGTERM); err != nil {
			return err
		}
	}
	if t.gone(ctx, grace, names) != nil {
		for _, name := range names {
			if err := t.signal(name, syscall.SIGKILL); err != nil {
				return err
			}
		}
		if err := t.gone(ctx, grace, names); err != nil {
			return fmt.Errorf("waiting for killed processes to end: %w", err)
		}
	}
	for _, name := range names {
		if err := os.Remove(t.recordFile(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the record of %s: %w", name, err)
		}
	}
	return nil
}

func (t Table) signal(name string, sig syscall.Signal) error {
	pid, running := t.PID(name)
	if !running {
		return nil
	}
	if err := syscall.Kill(int(pid), sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %s to %s (pid %d): %w", sig, name, pid, err)
	}
	return nil
}

func (t Table) gone(ctx context.Context, timeout time.Duration, names []string) error {
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, timeout, true, func(context.Context) (bool, error) {
		return !slices.ContainsFunc(names, func(name string) bool {
			_, running := t.PID(name)
			return running
		}), nil
	})
}
