package prove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/disk"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// request is what the child is asked.
type request struct {
	File    string `json:"file"`
	Scratch string `json:"scratch"`
	Depth   Depth  `json:"depth"`
	// Size is the file's; Checksum whether its sha256 is there, and right.
	Size     int64 `json:"size"`
	Checksum bool  `json:"checksum"`
	// HashAt is the revision at which HashKV is wanted; 0 for the file's own.
	HashAt int64 `json:"hashAt,omitempty"`
}

// findings are what the child has found so far. It writes them anew after each
// step, so that they outlive it.
type findings struct {
	// Doing is the step under way.
	Doing    string               `json:"doing,omitempty"`
	Checks   []report.EtcdCheck   `json:"checks,omitempty"`
	Snapshot report.EtcdSnapshot  `json:"snapshot"`
	Contents *report.EtcdContents `json:"contents,omitempty"`
	// Verdict is set when the file turned out to be bad.
	Verdict report.Verdict `json:"verdict,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	// Trouble is what kept the child from looking: no verdict on the file.
	Trouble string `json:"trouble,omitempty"`
}

// room is an error when the drill's copy does not fit.
func room(scratch string, size int64) error {
	if err := disk.Need(scratch, size+size/10+128<<20, "the restore drill"); err != nil {
		return fmt.Errorf("%w (--scratch names another place)", err)
	}
	return nil
}

// examination is the child at work.
type examination struct {
	request
	findings
	out *json.Encoder
}

// Child opens a database and writes what it finds to out, for the parent. It
// may die of what it reads, or be ended by etcd.
func Child(ctx context.Context, ask string, out io.Writer) error {
	x := examination{out: json.NewEncoder(out)}
	if err := json.Unmarshal([]byte(ask), &x.request); err != nil {
		return fmt.Errorf("a request of another version: %w", err)
	}
	if err := x.examine(ctx); err != nil {
		x.Trouble = err.Error()
	}
	return x.tell("")
}

// tell writes the findings, and what comes next.
func (x *examination) tell(doing string) error {
	x.Doing = doing
	return x.out.Encode(x.findings)
}

func (x *examination) passed(name, format string, args ...any) {
	x.Checks = append(x.Checks, report.EtcdCheck{Name: name, State: report.CheckPassed, Detail: fmt.Sprintf(format, args...)})
}

func (x *examination) failed(name string, verdict report.Verdict, format string, args ...any) {
	x.Verdict, x.Reason = verdict, fmt.Sprintf(format, args...)
	x.Checks = append(x.Checks, report.EtcdCheck{Name: name, State: report.CheckFailed, Detail: x.Reason})
}

func (x *examination) examine(ctx context.Context) error {
	if err := x.tell("database check"); err != nil {
		return err
	}
	status, err := snapshot.NewV3(logger()).Status(x.File)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err != nil {
		x.failed("database", report.Inconsistent, "bbolt: %v", err)
		return nil
	}
	x.Snapshot.Revision, x.Snapshot.Keys, x.Snapshot.StorageVersion = status.Revision, status.TotalKey, status.Version
	x.passed("database", "bbolt finds every page in order; revision %d, %d keys", status.Revision, status.TotalKey)
	if x.Depth == Consistency {
		return x.hashCopy()
	}
	return x.drill(ctx)
}

// hashCopy takes HashKV of a copy: etcd's storage writes where it reads.
func (x *examination) hashCopy() error {
	if err := x.tell("hash of all keys"); err != nil {
		return err
	}
	path := filepath.Join(x.Scratch, "db")
	if err := copyDatabase(x.File, path, x.Size); err != nil {
		return err
	}
	return x.hashOf(path)
}

// copyDatabase copies a snapshot without the checksum at its end.
func copyDatabase(from, to string, size int64) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // it was only read
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, io.LimitReader(source, size-size%sector))
	return errors.Join(err, target.Close())
}
