package manifests

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// Run is what to mend in which manifests.
type Run struct {
	Manifests cluster.Manifests
	// Practices are those to mend, in their order.
	Practices []practice.Practice
	Scope     practice.Scope
	// Keep, where set, leaves out the findings on other objects.
	Keep func(cluster.Ref) bool
}

// Result is what came of a Run. Nothing is written: see [File.Write].
type Result struct {
	// Files are those that change, by path.
	Files []File
	// Mended and Refused are in the order of the practices.
	Mended  []Mended
	Refused []Refused
	// Snapshot is of the manifests as they were.
	Snapshot *cluster.Snapshot
}

// File is a manifest before and after.
type File struct {
	Path          string
	Before, After []byte
}

// Mended is what was written for a finding.
type Mended struct {
	Practice string
	Object   cluster.Ref
	Path     string // of the finding, in the object
	Changes  []change.Change
	Why      string
	Risk     string
	File     string
}

// Refused is why nothing was written for a finding.
type Refused struct {
	Practice string
	Object   cluster.Ref
	Reason   string
}

// Diff is a unified diff of the file.
func (f File) Diff() []byte {
	return diff.Diff("a/"+f.Path, f.Before, "b/"+f.Path, f.After)
}

// Write puts the file in its place.
func (f File) Write() error {
	info, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file that could be written in its place", f.Path)
	}
	return os.WriteFile(f.Path, f.After, info.Mode().Perm())
}

// Changes are all that was written, an object's edits together.
func (r *Result) Changes() []change.Change {
	var all []change.Change
	for _, mended := range r.Mended {
		for _, c := range mended.Changes {
			all = Merge(all, c)
		}
	}
	return all
}

// Merge adds a change to others: edits of an object that is among them are
// made in it.
func Merge(all []change.Change, c change.Change) []change.Change {
	at := slices.IndexFunc(all, func(other change.Change) bool { return other.Object == c.Object })
	if at < 0 {
		return append(all, change.Change{Object: c.Object, Create: c.Create, Edits: slices.Clone(c.Edits)})
	}
	if made := &all[at]; made.Create != nil {
		body := made.Body()
		if c.ApplyTo(body) == nil {
			for _, name := range []string{"apiVersion", "kind"} {
				delete(body.Object, name)
			}
			made.Create = body.Object
		}
	} else {
		made.Edits = append(made.Edits, c.Edits...)
	}
	return all
}

// rounds bounds how often the practices are gone through: what one remedy
// writes is what another waits for.
const rounds = 5

// Mend goes through the practices, writes what their remedies propose into the
// text of the files and judges again, until nothing is proposed any more. A
// file that cannot be read is an error, and nothing is changed.
func (r Run) Mend(ctx context.Context) (*Result, error) {
	held, err := r.Manifests.Hold(ctx)
	if err != nil {
		return nil, err
	}
	r.Manifests = held
	m := &mending{run: r, result: &Result{}, texts: map[string][]byte{}, before: map[string][]byte{}, seen: map[key]bool{}}
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	m.result.Snapshot = m.snapshot
	for range rounds {
		wrote := false
		for _, p := range r.Practices {
			some, err := m.practice(ctx, p)
			if err != nil {
				return nil, err
			}
			wrote = wrote || some
		}
		if !wrote {
			break
		}
	}
	for _, path := range slices.Sorted(maps.Keys(m.texts)) {
		m.result.Files = append(m.result.Files, File{path, m.before[path], m.texts[path]})
	}
	m.result.Refused = m.refused
	return m.result, nil
}

// key is one finding of one practice, whose remedy proposes once.
type key struct {
	practice, path, message string
	object                  cluster.Ref
}

type mending struct {
	run      Run
	snapshot *cluster.Snapshot
	result   *Result
	refused  []Refused
	// texts are the files that were changed, before what they were.
	texts, before map[string][]byte
	seen          map[key]bool // what was written for
}

func (m *mending) load(ctx context.Context) error {
	snapshot, errs := m.run.Manifests.Load(ctx)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	m.snapshot = snapshot
	return nil
}

// practice mends what one practice finds. An object is written once a reading,
// since what is proposed next may rest on what was written.
func (m *mending) practice(ctx context.Context, p practice.Practice) (wrote bool, err error) {
	for {
		some, refused := m.pass(p)
		if !some {
			m.refused = append(slices.DeleteFunc(m.refused, func(r Refused) bool { return r.Practice == p.ID }), refused...)
			return wrote, nil
		}
		wrote = true
		if err := m.load(ctx); err != nil {
			return wrote, fmt.Errorf("what was written for %s cannot be read again: %w", p.ID, err)
		}
	}
}

func (m *mending) pass(p practice.Practice) (wrote bool, refused []Refused) {
	touched := map[cluster.Ref]bool{}
	for _, found := range practice.Evaluate(m.snapshot, []practice.Practice{p}, m.run.Scope).Findings {
		f := practice.FindingOf(found)
		id := key{p.ID, f.Path, f.Message, f.Object}
		switch {
		case found.Platform, m.run.Keep != nil && !m.run.Keep(f.Object):
			continue
		case m.seen[id]:
			refused = append(refused, Refused{p.ID, f.Object, "what was written did not mend it in full"})
			continue
		}
		for _, part := range p.Remedy.Propose(m.snapshot, f).Each() {
			if part.Refused != "" {
				if !slices.Contains(refused, Refused{p.ID, f.Object, part.Refused}) {
					refused = append(refused, Refused{p.ID, f.Object, part.Refused})
				}
				continue
			}
			if slices.ContainsFunc(part.Changes, func(c change.Change) bool { return touched[c.Object] }) {
				continue // in the next pass, over what is written by then
			}
			file, err := m.write(f.Object, part.Changes)
			if err != nil {
				refused = append(refused, Refused{p.ID, f.Object, err.Error()})
				continue
			}
			for _, c := range part.Changes {
				touched[c.Object] = true
			}
			m.seen[id] = len(p.Remedy.Propose(m.snapshot, f).Next) == 0
			m.result.Mended = append(m.result.Mended, Mended{p.ID, f.Object, f.Path, part.Changes, part.Why, part.Risk, file})
			wrote = true
		}
	}
	return wrote, refused
}

// write makes changes that belong together: in all of their files, or none.
func (m *mending) write(about cluster.Ref, changes []change.Change) (string, error) {
	written := map[string][]byte{}
	text := func(path string) ([]byte, error) {
		if text, ok := written[path]; ok {
			return text, nil
		}
		return m.text(path)
	}
	first := ""
	for _, c := range changes {
		beside := c.Object
		if c.Create != nil {
			beside = m.homeOf(about, changes)
		}
		position, known := m.snapshot.Position(beside)
		if !known {
			return "", fmt.Errorf("no file holds %s, so that there is nowhere to write %s", beside, c.Object)
		}
		before, err := text(position.File)
		if err != nil {
			return "", err
		}
		var after []byte
		if c.Create != nil {
			after, err = Append(before, c, beside, m.run.Manifests.Namespace)
		} else {
			after, err = Edit(before, c, m.run.Manifests.Namespace)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", position.File, err)
		}
		written[position.File] = after
		if first == "" {
			first = position.File
		}
	}
	for path, after := range written {
		if _, changed := m.texts[path]; !changed {
			before, err := m.text(path)
			if err != nil {
				return "", err
			}
			m.before[path] = before
		}
		m.texts[path], m.run.Manifests.Contents[path] = after, after
	}
	return first, nil
}

// text is a file as it is by now.
func (m *mending) text(path string) ([]byte, error) {
	if text, ok := m.run.Manifests.Contents[path]; ok {
		return text, nil
	}
	return os.ReadFile(path)
}

// homeOf is the object beside which a new one is written: that of the finding
// or, where no file holds it, one that is edited with it.
func (m *mending) homeOf(about cluster.Ref, changes []change.Change) cluster.Ref {
	if _, known := m.snapshot.Position(about); known {
		return about
	}
	for _, c := range changes {
		if _, known := m.snapshot.Position(c.Object); known {
			return c.Object
		}
	}
	return about
}
