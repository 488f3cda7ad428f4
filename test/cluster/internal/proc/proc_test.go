package proc

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

func newTable(t *testing.T) Table {
	return Table{Records: t.TempDir(), Logs: t.TempDir()}
}

func TestAStartedProcessRunsUntilItIsStopped(t *testing.T) {
	table := newTable(t)
	started, err := table.Start(Spec{Name: "sleeper", Path: "/bin/sleep", Args: []string{"60"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, running := table.PID("sleeper"); !running {
		t.Fatal("the process should run")
	}
	if err := table.Stop(context.Background(), 5*time.Second, "sleeper"); err != nil {
		t.Fatal(err)
	}
	<-started.Done
	if _, running := table.PID("sleeper"); running {
		t.Error("the process should have ended")
	}
	if names, _ := table.Names(); len(names) != 0 {
		t.Errorf("records are left: %v", names)
	}
}

// The kernel closes the pipe that Go's Start waits for a moment before the new
// arguments can be read from /proc: a busy machine shows the gap.
func TestAStartedProcessIsKnownAtOnce(t *testing.T) {
	table := newTable(t)
	names := make([]string, 400)
	for i := range names {
		names[i] = fmt.Sprintf("sleeper-%d", i)
		if _, err := table.Start(Spec{Name: names[i], Path: "/bin/sleep", Args: []string{"60"}}); err != nil {
			t.Fatal(err)
		}
		if _, running := table.PID(names[i]); !running {
			t.Errorf("%s should run", names[i])
		}
	}
	if err := table.Stop(context.Background(), 5*time.Second, names...); err != nil {
		t.Fatal(err)
	}
}

func TestAProcessThatIgnoresTermIsKilled(t *testing.T) {
	table := newTable(t)
	script := `trap "" TERM; echo ready; while :; do sleep 0.1; done`
	started, err := table.Start(Spec{Name: "deaf", Path: "/bin/sh", Args: []string{"-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	for table.Tail("deaf", 1) != "ready" {
		time.Sleep(10 * time.Millisecond)
	}
	if err := table.Stop(context.Background(), 200*time.Millisecond, "deaf"); err != nil {
		t.Fatal(err)
	}
	<-started.Done
}

func TestARecycledProcessIDIsLeftAlone(t *testing.T) {
	table := newTable(t)
	stranger := exec.Command("/bin/sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()

	data, _ := json.Marshal(Record{PID: int32(stranger.Process.Pid), Cmdline: []string{"/bin/etcd", "--data-dir=/x"}})
	if err := os.WriteFile(table.recordFile("etcd"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, running := table.PID("etcd"); running {
		t.Error("a process with another command line should not count as ours")
	}
	if err := table.Stop(context.Background(), time.Second, "etcd"); err != nil {
		t.Fatal(err)
	}
	if !(Record{PID: int32(stranger.Process.Pid), Cmdline: stranger.Args}).alive() {
		t.Error("the stranger was ended")
	}
}

func TestStoppingWhatNeverRanIsHarmless(t *testing.T) {
	if err := newTable(t).Stop(context.Background(), time.Second, "absent"); err != nil {
		t.Error(err)
	}
}
