// Package journal keeps what harden wrote, so that it can be taken back: a
// file a change, a JSON line a step, each on disk before the next step is made.
package journal

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// Cluster names a cluster beyond doubt.
type Cluster struct {
	// UID is that of its namespace kube-system.
	UID string `json:"uid"`
	// Context and Server are how it was reached, Authority the SHA-256 of its
	// certificate authority's certificate.
	Context   string `json:"context,omitempty"`
	Server    string `json:"server"`
	Authority string `json:"authority,omitempty"`
}

// Object is one object of a change.
type Object struct {
	APIVersion      string    `json:"apiVersion"`
	Kind            string    `json:"kind"`
	Namespace       string    `json:"namespace,omitempty"`
	Name            string    `json:"name"`
	UID             types.UID `json:"uid,omitempty"`
	ResourceVersion string    `json:"resourceVersion,omitempty"`
	// Created is the new object as it was sent or, once written, as the API
	// server keeps it; nil where one was edited.
	Created map[string]any `json:"created,omitempty"`
	// Touches are the edited fields, with what was there before.
	Touches []change.Touch `json:"touches,omitempty"`
	// Written is set once the API server has confirmed the write.
	Written bool `json:"written,omitempty"`
}

// Ref names the object.
func (o Object) Ref() cluster.Ref {
	return cluster.Ref{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

// Step is how far a change has come.
type Step string

// The steps. Intended, Written and Undoing are left by a run that was
// interrupted; the others are ends.
const (
	// Intended: about to be written.
	Intended Step = "intended"
	// Written: the API server has confirmed it; nobody has seen what came of it.
	Written Step = "written"
	// Verified: written, and what runs was well after.
	Verified Step = "verified"
	// Unwatched: written, and changed by somebody else before anybody saw what
	// came of it.
	Unwatched Step = "unwatched"
	// NotWritten: the API server has refused it, or was never asked.
	NotWritten Step = "not written"
	// Undoing: about to be taken back.
	Undoing Step = "undoing"
	// RolledBack: it went wrong, and harden took it back by itself.
	RolledBack Step = "rolled back"
	// Undone: taken back by `harden undo`.
	Undone Step = "undone"
	// Stuck: it went wrong, and could not be taken back.
	Stuck Step = "stuck"
)

// Entry is one line.
type Entry struct {
	Time time.Time `json:"time"`
	Step Step      `json:"step"`
	Note string    `json:"note,omitempty"`
	// Cluster, Process, Practices and Objects are in the first line; Objects again in
	// later ones where more is known of them.
	Cluster   *Cluster `json:"cluster,omitempty"`
	Process   int      `json:"process,omitempty"`
	Practices []string `json:"practices,omitempty"`
	Objects   []Object `json:"objects,omitempty"`
}

// Record is one change, as its lines tell it.
type Record struct {
	ID      string
	Cluster Cluster
	// Process is the ID of the process that wrote it, on the machine that keeps
	// the journal.
	Process   int
	Practices []string
	Objects   []Object
	Started   time.Time
	// Step, Time and Note are the last line's.
	Step Step
	Time time.Time
	Note string
}

// Interrupted reports whether nobody knows what came of the change.
func (r *Record) Interrupted() bool {
	return r.Step == Intended || r.Step == Written || r.Step == Undoing
}

// Undoable reports whether there is something to take back.
func (r *Record) Undoable() bool {
	return r.Interrupted() || r.Step == Verified || r.Step == Unwatched || r.Step == Stuck
}

// Journal is a directory of records.
type Journal struct{ dir string }

// Open is the journal of this user: kubectl-prod/harden below the directory
// for what programs keep (XDG Base Directory Specification: XDG_STATE_HOME, or
// ~/.local/state).
func Open() (*Journal, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // the specification: relative paths are ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("no place for the journal, without which nothing could be undone: %w (XDG_STATE_HOME names one)", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return In(filepath.Join(state, "kubectl-prod", "harden")), nil
}

// In is the journal in a directory, which is made when it is first written to.
func In(dir string) *Journal { return &Journal{dir} }

// Directory is where the records are.
func (j *Journal) Directory() string { return j.dir }

// NewID names a change after the moment.
func NewID(now time.Time) string {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(random[:])
}

const suffix = ".jsonl"

var errEmpty = errors.New("it holds no change")

// Begin writes the first line of a new record. When it returns, the line is on
// disk.
func (j *Journal) Begin(id string, entry Entry) error {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	if err := j.write(id, entry, os.O_CREATE|os.O_EXCL); err != nil {
		return err
	}
	return syncDir(j.dir)
}

// Add writes a further line of a record. When it returns, the line is on disk.
func (j *Journal) Add(id string, entry Entry) error { return j.write(id, entry, 0) }

func (j *Journal) write(id string, entry Entry, flags int) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	file, err := os.OpenFile(j.path(id), os.O_APPEND|os.O_RDWR|flags, 0o600)
	if err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	if torn(file) {
		line = append([]byte("\n"), line...)
	}
	_, err = file.Write(append(line, '\n'))
	if err := cmp.Or(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	return nil
}

// torn reports whether a crash cut the last line short.
func torn(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = file.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] != '\n'
}

func (j *Journal) path(id string) string { return filepath.Join(j.dir, id+suffix) }

// syncDir puts a new file's name on disk. Systems that cannot sync a directory
// do without.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	_ = d.Sync()
	return d.Close()
}

// Records are all records, the earliest first. Files that are not records are
// told in the error, beside the records that are.
func (j *Journal) Records() ([]*Record, error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the journal: %w", err)
	}
	var records []*Record
	var broken []error
	for _, entry := range entries {
		id, isRecord := strings.CutSuffix(entry.Name(), suffix)
		if !isRecord {
			continue
		}
		record, err := j.Record(id)
		if errors.Is(err, errEmpty) {
			continue // a crash before its first line was on disk: nothing was written
		}
		if err != nil {
			broken = append(broken, err)
			continue
		}
		records = append(records, record)
	}
	slices.SortStableFunc(records, func(a, b *Record) int { return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID)) })
	return records, errors.Join(broken...)
}

// Record reads one record. A line that a crash cut short is as if it had never
// been written: it is on disk before the step is made.
func (j *Journal) Record(id string) (*Record, error) {
	if id == "" || filepath.Base(id) != id {
		return nil, fmt.Errorf("there is no change %q (kubectl prod harden history lists them)", id)
	}
	data, err := os.ReadFile(j.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no change %q in %s (kubectl prod harden history lists them)", id, j.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("the journal: %w", err)
	}
	record := &Record{ID: id}
	for line := range bytes.Lines(data) {
		var entry Entry
		if err := utiljson.Unmarshal(line, &entry); err != nil || entry.Step == "" {
			continue // cut short
		}
		record.take(entry)
	}
	if record.Cluster.UID == "" || len(record.Objects) == 0 {
		return nil, fmt.Errorf("the journal: %s: %w", j.path(id), errEmpty)
	}
	return record, nil
}

func (r *Record) take(entry Entry) {
	if r.Started.IsZero() {
		r.Started = entry.Time
	}
	if entry.Cluster != nil {
		r.Cluster, r.Process = *entry.Cluster, entry.Process
	}
	if len(entry.Practices) > 0 {
		r.Practices = entry.Practices
	}
	if len(entry.Objects) > 0 {
		r.Objects = entry.Objects
	}
	r.Step, r.Time, r.Note = entry.Step, entry.Time, entry.Note
}
