// Package prove tells whether an etcd snapshot is a backup: its bytes are those
// that etcd sent, its database is sound, and etcd starts from it and holds a
// Kubernetes cluster.
//
// The order matters. A truncated file kills the process that maps it (bbolt
// reads through mmap: SIGBUS), and etcd ends its process when it does not like
// what it finds. So the checksum comes first, and whatever opens the database
// runs in a child process.
package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Depth is how deep a proof goes; each holds the ones before.
type Depth string

// The depths.
const (
	// Integrity: size and checksum; nothing is opened.
	Integrity Depth = "integrity"
	// Consistency: bbolt's check of all pages, revision, keys, HashKV.
	Consistency Depth = "consistency"
	// Restore: etcd restores it and starts from it, its objects are counted and
	// a sample is decoded.
	Restore Depth = "restore"
)

// Depths are all of them, the shallowest first.
func Depths() []Depth { return []Depth{Integrity, Consistency, Restore} }

// Prover proves snapshots.
type Prover struct {
	// Child is this program's own command that calls [Child] with a request.
	// Where a file is mapped it is a process of its own that may die.
	Child func(ctx context.Context, request string) (*exec.Cmd, error)
	// Scratch is where the restore is tried; "" is the system's own place for
	// temporary files.
	Scratch string
	// Progress is told what is being done; nil for nobody.
	Progress func(step string)
}

// Expected is what is known of a file beforehand, from its manifest or from
// having received it. The zero value knows nothing.
type Expected struct {
	SHA256 string
	// Revision is where HashKV is wanted; HashKV is what it was there, 0 for
	// unknown.
	Revision int64
	HashKV   uint32
}

// File proves a plain snapshot file. The error is for what kept it from looking
// (no such file, no space); what is wrong with the file is in the result.
func (p Prover) File(ctx context.Context, path string, depth Depth, expected Expected) (*report.EtcdVerification, error) {
	v := verification(path, depth)
	p.tell("checksum")
	if err := integrity(ctx, path, expected, v); err != nil {
		return nil, err
	}
	if v.Proof.Verdict != report.Proven && v.Proof.Verdict != report.Unproven || depth == Integrity {
		return v, nil
	}
	if err := p.open(ctx, path, depth, expected, v); err != nil {
		return nil, err
	}
	if got := v.Snapshot.HashKV; expected.HashKV != 0 && got != 0 && got != expected.HashKV && v.Proof.Verdict == report.Proven {
		v.Proof.Verdict = report.Damaged
		v.Proof.Reason = fmt.Sprintf("the hash of all keys is %08x, and was %08x when it was taken", got, expected.HashKV)
	}
	return v, nil
}

// Unreadable is the result for a stored backup whose bytes cannot be decoded.
func Unreadable(file string, depth Depth, why string) *report.EtcdVerification {
	v := verification(file, depth)
	v.Proof.Verdict, v.Proof.Reason = report.Damaged, why
	v.Proof.Checks = []report.EtcdCheck{{Name: "stored bytes", State: report.CheckFailed, Detail: why}}
	return v
}

func verification(file string, depth Depth) *report.EtcdVerification {
	return &report.EtcdVerification{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "EtcdVerification"},
		File:     file,
		Proof:    report.EtcdProof{Verdict: report.Proven, Depth: string(depth), Time: metav1.NewTime(time.Now().UTC().Truncate(time.Second))},
	}
}

func (p Prover) tell(step string) {
	if p.Progress != nil {
		p.Progress(step)
	}
}

// open has the child look into the database.
func (p Prover) open(ctx context.Context, path string, depth Depth, expected Expected, v *report.EtcdVerification) error {
	scratch, err := os.MkdirTemp(p.Scratch, "kubectl-prod-drill-")
	if err != nil {
		return fmt.Errorf("no place for the restore drill: %w (--scratch names another)", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }() // the verdict counts; the system clears the rest
	if err := room(scratch, v.Snapshot.Size); err != nil {
		return err
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return err
	}
	ask, err := json.Marshal(request{
		File: path, Scratch: scratch, Depth: depth, Size: v.Snapshot.Size,
		Checksum: v.Proof.Verdict == report.Proven, HashAt: expected.Revision,
	})
	if err != nil {
		return err
	}
	command, err := p.Child(ctx, string(ask))
	if err != nil {
		return err
	}
	var stdout bytes.Buffer
	stderr := &lastWords{}
	command.Stdout, command.Stderr = &stdout, stderr
	command.Dir = scratch // sockets by short relative names: a path of theirs has 108 bytes at most
	if depth == Restore {
		p.tell("restore drill")
	} else {
		p.tell("database check")
	}
	ended := command.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return conclude(v, &stdout, ended, stderr.String())
}

// conclude adds what the child found, or how it died, to the result.
func conclude(v *report.EtcdVerification, stdout *bytes.Buffer, ended error, said string) error {
	var found findings
	decoder := json.NewDecoder(stdout)
	for { // each line holds all that was found by then: the last one counts
		var next findings
		if err := decoder.Decode(&next); err != nil {
			break
		}
		found = next
	}
	v.Proof.Checks = append(v.Proof.Checks, found.Checks...)
	found.Snapshot.Size, found.Snapshot.SHA256 = v.Snapshot.Size, v.Snapshot.SHA256
	v.Snapshot, v.Contents = found.Snapshot, found.Contents
	switch {
	case found.Trouble != "":
		return errors.New(found.Trouble)
	case found.Verdict != "":
		v.Proof.Verdict, v.Proof.Reason = found.Verdict, found.Reason
	case ended != nil:
		// The program that opened it was killed by what it read.
		what := "etcd"
		if found.Doing != "" {
			what = found.Doing
		}
		reason := fmt.Sprintf("%s ended with %q", what, cause(ended, said))
		v.Proof.Verdict, v.Proof.Reason = report.Inconsistent, reason
		v.Proof.Checks = append(v.Proof.Checks, report.EtcdCheck{Name: what, State: report.CheckFailed, Detail: reason})
	}
	return nil
}

// cause is the line of a dead process's last words that says why it died.
func cause(ended error, said string) string {
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		for _, sign := range []string{"fatal\t", "panic\t", "panic: ", "fatal error: ", "unexpected fault address"} {
			if strings.Contains(line, sign) {
				return strings.ReplaceAll(line, "\t", ": ")
			}
		}
	}
	return ended.Error()
}

// lastWords keeps the first words of a dying process, which say why, and not the
// thousands of lines of its goroutines.
type lastWords struct{ bytes.Buffer }

func (t *lastWords) Write(p []byte) (int, error) {
	if room := 8<<10 - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
