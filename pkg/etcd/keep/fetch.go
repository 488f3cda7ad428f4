package keep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Fetched is a plain snapshot on this machine.
type Fetched struct {
	Path string
	// Manifest is what lay beside it; nil for none.
	Manifest *report.EtcdBackup
	// Bad says why the stored bytes are no snapshot's: cut off, changed, or not
	// what the manifest says. Path is empty then.
	Bad string

	directory string
}

// Close removes the plain copy, where one was made.
func (f *Fetched) Close() {
	if f.directory != "" {
		_ = os.RemoveAll(f.directory) // the system clears the rest
	}
}

// MoveTo writes the plain snapshot to a path, whole or not at all.
func (f *Fetched) MoveTo(ctx context.Context, path string) error {
	source, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // it was only read
	return directory(filepath.Dir(path)).Put(ctx, filepath.Base(path), func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
}

// Fetch makes a plain snapshot of what lies at a path or URL: decrypted,
// decompressed and held against its manifest. A plain local file is used where it
// lies.
func Fetch(ctx context.Context, object, scratch string, identities []age.Identity, progress func(done, total int64)) (*Fetched, error) {
	destination, name := Split(object)
	store, err := Open(ctx, destination)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }() // it was only read
	fetched := &Fetched{}
	fetched.Manifest, err = ReadManifest(ctx, store, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, local := store.(directory); local && !Encoded(name) {
		fetched.Path = filepath.Join(string(store.(directory)), name)
		return fetched, nil
	}
	return fetched, fetched.copy(ctx, store, name, scratch, identities, progress)
}

func (f *Fetched) copy(ctx context.Context, store Store, name, scratch string, identities []age.Identity, progress func(done, total int64)) (err error) {
	source, err := store.Get(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // it was only read
	if f.directory, err = os.MkdirTemp(scratch, "kubectl-prod-snapshot-"); err != nil {
		return fmt.Errorf("no place for the snapshot: %w (--scratch names another)", err)
	}
	defer func() {
		if err != nil || f.Bad != "" {
			f.Close()
		}
	}()
	path := filepath.Join(f.directory, "snapshot.db")
	target, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	stored := &watched{Reader: source, tell: progress}
	if f.Manifest != nil {
		stored.total = f.Manifest.Stored.Size
	}
	sum := sha256.New()
	hashed := io.TeeReader(stored, sum)
	decoded := Decode(&sink{File: target}, hashed, name, identities)
	if closed := target.Close(); closed != nil {
		return closed
	}
	var locked *age.NoIdentityMatchError
	var full *sinkError
	switch {
	case stored.failed != nil && changed(stored.failed):
		f.Bad = stored.failed.Error()
		return nil
	case stored.failed != nil:
		return stored.failed
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(decoded, ErrLocked), errors.As(decoded, &full):
		return decoded
	case errors.As(decoded, &locked):
		return errors.New("no --identity and no passphrase given opens it")
	case decoded != nil:
		f.Bad = strings.Join(strings.Fields(decoded.Error()), " ")
		return nil
	}
	if got := hex.EncodeToString(sum.Sum(nil)); f.Manifest != nil && got != f.Manifest.Stored.SHA256 {
		f.Bad = fmt.Sprintf("what is stored has sha256 %.12s…, and was written with %.12s…", got, f.Manifest.Stored.SHA256)
		return nil
	}
	f.Path = path
	return nil
}

// watched notes an error of the source's own, which says nothing about the bytes.
type watched struct {
	io.Reader
	done, total int64
	tell        func(done, total int64)
	failed      error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.done += int64(n)
	w.tell(w.done, w.total)
	if err != nil && !errors.Is(err, io.EOF) {
		w.failed = err
	}
	return n, err
}

// sink tells a full disk from a bad source.
type sink struct{ *os.File }

type sinkError struct{ error }

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	if err != nil {
		err = &sinkError{err}
	}
	return n, err
}

// ReadFrom is left to Write, which knows its errors.
func (s *sink) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{s}, r) }
