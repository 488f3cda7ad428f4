// Package keep is where backups are kept: a directory or an object store, each
// snapshot with its manifest beside it, compressed and encrypted on the way.
package keep

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://
	"gocloud.dev/gcerrors"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Store is a destination.
type Store interface {
	// Put writes an object, whole or not at all.
	Put(ctx context.Context, name string, write func(io.Writer) error) error
	// Get opens an object; [fs.ErrNotExist] where there is none.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List is everything directly in the destination.
	List(ctx context.Context) ([]Object, error)
	Delete(ctx context.Context, name string) error
	// String is the destination without credentials.
	String() string
	Close() error
}

// Object is something that is kept.
type Object struct {
	Name string
	Size int64
	Time time.Time
}

// Open opens a destination: a directory's path, or a URL of a scheme that
// gocloud.dev/blob knows. Credentials come from where each provider's tools take
// them, never from the URL.
func Open(ctx context.Context, destination string) (Store, error) {
	scheme, rest, isURL := strings.Cut(destination, "://")
	if !isURL {
		return directory(destination), nil
	}
	if scheme == "file" {
		return directory(filepath.FromSlash(rest)), nil
	}
	parsed, err := url.Parse(destination)
	if err != nil {
		return nil, errors.New("the destination is no URL") // its text may hold a password
	}
	if parsed.User != nil {
		return nil, fmt.Errorf("%s holds credentials: they belong into the environment or the provider's own files, not onto a command line", Redact(destination))
	}
	if !slices.Contains([]string{"s3", "gs", "azblob"}, scheme) {
		return nil, fmt.Errorf("a destination is a directory, s3://, gs:// or azblob://, and not %s://", scheme)
	}
	if scheme == "gs" {
		if err := googleCredentials(ctx, destination); err != nil {
			return nil, err
		}
	}
	prefix := strings.Trim(parsed.Path, "/")
	parsed.Path = ""
	opened, err := blob.OpenBucket(ctx, parsed.String())
	if err != nil {
		// The library repeats the whole URL, whose parameters may hold anything.
		return nil, fmt.Errorf("opening %s: %s", Redact(destination), strings.ReplaceAll(err.Error(), parsed.String(), Redact(destination)))
	}
	if prefix != "" {
		opened = blob.PrefixedBucket(opened, prefix+"/")
	}
	return bucket{opened, Redact(destination)}, nil
}

// Redact is a destination without what may be a secret: user, password and
// parameters.
func Redact(destination string) string {
	scheme, rest, isURL := strings.Cut(destination, "://")
	if !isURL {
		return destination
	}
	rest, _, _ = strings.Cut(rest, "?")
	host, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		host = host[at+1:]
	}
	return strings.TrimSuffix(scheme+"://"+host+"/"+path, "/")
}

// Address is a destination, or an object, as it can be given to this program
// again: without what may be a secret, and with those parameters that say where
// it is.
func Address(object string) string {
	base, query, _ := strings.Cut(object, "?")
	if !strings.Contains(base, "://") {
		return object
	}
	given, err := url.ParseQuery(query)
	if err != nil {
		return Redact(object)
	}
	places := url.Values{}
	for _, name := range []string{
		"region", "endpoint", "use_path_style", "profile", "dualstack", "fips", "hostname_immutable", "anonymous", "universe_domain",
		"domain", "protocol", "storage_account", "localemu", "cdn",
	} {
		value := given.Get(name)
		if parsed, err := url.Parse(value); value == "" || err == nil && parsed.User != nil {
			continue
		}
		places.Set(name, value)
	}
	if len(places) == 0 {
		return Redact(object)
	}
	readable, err := url.QueryUnescape(places.Encode())
	if err != nil || strings.ContainsAny(readable, "#% ") || strings.Count(readable, "&") != len(places)-1 {
		readable = places.Encode()
	}
	return Redact(object) + "?" + readable
}

// Split divides the URL or path of one object into its destination and name. The
// parameters of a URL stay with the destination.
func Split(object string) (destination, name string) {
	base, query, parameters := strings.Cut(object, "?")
	if !strings.Contains(object, "://") {
		base, parameters = object, false
	}
	at := strings.LastIndex(base, "/")
	if strings.Contains(object, "://") || at >= 0 {
		destination, name = base[:at], base[at+1:]
	} else {
		destination, name = ".", base
	}
	if destination == "" {
		destination = "/"
	}
	if parameters {
		destination += "?" + query
	}
	return destination, name
}

// Sync makes what was renamed in a directory last.
func Sync(path string) error { return syncDirectory(path) }

// CheckStored reads an object back and holds it against what was written.
func CheckStored(ctx context.Context, store Store, name string, want report.StoredObject, progress func(done, total int64)) error {
	return steadily(ctx, func() error { return checkStored(ctx, store, name, want, progress) })
}

func checkStored(ctx context.Context, store Store, name string, want report.StoredObject, progress func(done, total int64)) error {
	reader, err := store.Get(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }() // it was only read
	sum := sha256.New()
	buffer := make([]byte, 1<<20)
	var size int64
	for {
		n, err := reader.Read(buffer)
		_, _ = sum.Write(buffer[:n]) // a hash takes all
		size += int64(n)
		progress(size, want.Size)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading %s back: %w", name, err)
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%s at %s is not what was written: %d bytes with sha256 %.12s…, written were %d with %.12s…", name, store, size, got, want.Size, want.SHA256)
	}
	return nil
}

// Local is the directory of a Store; "" where that is none.
func Local(store Store) string {
	d, _ := store.(directory)
	return string(d)
}

// HasUser reports whether a URL holds a user or password.
func HasUser(destination string) bool {
	parsed, err := url.Parse(destination)
	return err != nil || parsed.User != nil
}

// directory is a Store on a file system.
type directory string

func (d directory) String() string { return string(d) }
func (d directory) Close() error   { return nil }

func (d directory) path(name string) string { return filepath.Join(string(d), filepath.Base(name)) }

// Part is the name of what is not yet whole.
const Part = ".part"

// Put writes beside the name, to the disk, and renames: a reader never sees half
// a file, not even after a crash.
func (d directory) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	part := d.path(name) + Part
	file, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(write(file), ctx.Err(), file.Sync(), file.Close())
	if err == nil {
		err = d.Rename(filepath.Base(part), name)
	}
	if err != nil {
		_ = os.Remove(part) // the error that counts is the first
	}
	return err
}

// Rename gives a whole file its name, for good.
func (d directory) Rename(from, to string) error {
	if err := os.Rename(d.path(from), d.path(to)); err != nil {
		return err
	}
	return syncDirectory(string(d))
}

func (d directory) Get(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(d.path(name))
}

func (d directory) List(context.Context) ([]Object, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var objects []Object
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, Object{entry.Name(), info.Size(), info.ModTime()})
	}
	return objects, nil
}

func (d directory) Delete(_ context.Context, name string) error { return os.Remove(d.path(name)) }

// bucket is a Store of a provider.
type bucket struct {
	*blob.Bucket
	redacted string
}

func (b bucket) String() string { return b.redacted }

const (
	// partSize is a part of a multipart upload: 10,000 of them make 160 GB.
	partSize = 16 << 20
	// uploads is how many parts travel at once; each is held in memory.
	uploads = 3
)

// Put uploads in parts, each of which the provider's library retries by itself,
// and begins anew where it gave up: write is called again then. A failed write
// cancels the upload: nothing gets the name.
func (b bucket) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	return steadily(ctx, func() error { return b.putOnce(ctx, name, write) })
}

func (b bucket) putOnce(ctx context.Context, name string, write func(io.Writer) error) error {
	uploading, cancel := context.WithCancel(ctx)
	defer cancel()
	writer, err := b.NewWriter(uploading, name, &blob.WriterOptions{BufferSize: partSize, MaxConcurrency: uploads, ContentType: "application/octet-stream"})
	if err != nil {
		return b.tell("writing", name, err)
	}
	if err := write(upload{writer, func(err error) error { return b.tell("writing", name, err) }}); err != nil {
		cancel() // before Close, which would complete the upload
		_ = writer.Close()
		return cmp.Or(ctx.Err(), err)
	}
	if err := writer.Close(); err != nil {
		return cmp.Or(ctx.Err(), b.tell("writing", name, err))
	}
	return nil
}

// upload tells the store's errors from those of what is written to it.
type upload struct {
	io.Writer
	tell func(error) error
}

func (u upload) Write(p []byte) (int, error) {
	n, err := u.Writer.Write(p)
	if err != nil {
		err = u.tell(err)
	}
	return n, err
}

func (b bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	asking, answered := answering(ctx)
	reader, err := b.NewReader(asking, name, nil)
	if err = answered(err); err != nil {
		return nil, cmp.Or(ctx.Err(), b.tell("reading", name, err))
	}
	return download{reader, func(err error) error { return b.tell("reading", name, err) }}, nil
}

// download says in one line what breaks on the way.
type download struct {
	io.ReadCloser
	tell func(error) error
}

func (d download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = d.tell(err)
	}
	return n, err
}

func (b bucket) List(ctx context.Context) ([]Object, error) {
	var objects []Object
	entries := b.Bucket.List(&blob.ListOptions{Delimiter: "/"})
	for {
		asking, answered := answering(ctx)
		entry, err := entries.Next(asking)
		if err = answered(err); errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, cmp.Or(ctx.Err(), b.tell("listing", "", err))
		}
		if !entry.IsDir {
			objects = append(objects, Object{entry.Key, entry.Size, entry.ModTime})
		}
	}
}

func (b bucket) Delete(ctx context.Context, name string) error {
	asking, answered := answering(ctx)
	err := answered(b.Bucket.Delete(asking, name))
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fs.ErrNotExist
	}
	if err != nil {
		return b.tell("removing", name, err)
	}
	return nil
}

// Sorted are the objects by name.
func sorted(objects []Object) []Object {
	slices.SortFunc(objects, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return objects
}
