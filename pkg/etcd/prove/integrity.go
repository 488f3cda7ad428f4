package prove

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// sector: a snapshot is a bbolt database, whole sectors, and behind it the
// sha256 of all before (etcd: client/v3/snapshot and etcdutl's hasChecksum).
const sector = 512

// integrity checks size and checksum by reading the file as a stream.
func integrity(ctx context.Context, path string, expected Expected, v *report.EtcdVerification) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	digest, err := digestOf(ctx, file, info.Size())
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	v.Snapshot.Size, v.Snapshot.SHA256 = info.Size(), hex.EncodeToString(digest.whole)
	judge := func(verdict report.Verdict, format string, args ...any) {
		v.Proof.Verdict, v.Proof.Reason = verdict, fmt.Sprintf(format, args...)
		v.Proof.Checks = append(v.Proof.Checks, report.EtcdCheck{Name: "checksum", State: report.CheckFailed, Detail: v.Proof.Reason})
	}
	kind, needed := recognise(digest.head)
	switch {
	case info.Size() == 0:
		judge(report.Empty, "the file is empty")
	case digest.zeros:
		judge(report.Empty, "all %d bytes are zero", info.Size())
	case kind != "":
		judge(report.NotASnapshot, "it is %s", kind)
	case needed == 0 && info.Size() < minimum:
		judge(report.Truncated, "%d bytes are less than the smallest database has", info.Size())
	case needed == 0:
		judge(report.NotASnapshot, "it has no header of a bbolt database")
	case info.Size() < needed:
		judge(report.Truncated, "it ends after %d of at least %d bytes", info.Size(), needed+sha256.Size)
	case info.Size()%sector == 0:
		v.Proof.Verdict = report.Unproven
		v.Proof.Reason = "it has no checksum at its end: cut off there, or copied from a data directory instead of saved by etcd; whether its values are those that were written cannot be told"
		v.Proof.Checks = append(v.Proof.Checks, report.EtcdCheck{Name: "checksum", State: report.CheckNotChecked, Detail: v.Proof.Reason})
	case info.Size()%sector != sha256.Size:
		judge(report.Truncated, "its size, %d bytes, is not that of whole sectors and a checksum", info.Size())
	case !bytes.Equal(digest.database, digest.trailer):
		judge(report.Damaged, "sha256 of the database is %x…, and the checksum that etcd wrote behind it %x…", digest.database[:6], digest.trailer[:6])
	case expected.SHA256 != "" && expected.SHA256 != v.Snapshot.SHA256:
		judge(report.Damaged, "sha256 is %.12s…, and was %.12s… when it was taken", v.Snapshot.SHA256, expected.SHA256)
	default:
		v.Proof.Checks = append(v.Proof.Checks, report.EtcdCheck{
			Name: "checksum", State: report.CheckPassed,
			Detail: fmt.Sprintf("sha256 of %d bytes is the one that etcd wrote behind them", info.Size()-sha256.Size),
		})
	}
	return nil
}

// digests are what one pass over a file tells.
type digests struct {
	head              []byte // the first two pages
	whole             []byte // sha256 of all
	database, trailer []byte // sha256 of all but the last 32 bytes, and those
	zeros             bool
}

func digestOf(ctx context.Context, file io.Reader, size int64) (digests, error) {
	d := digests{zeros: true}
	whole, database := sha256.New(), sha256.New()
	buffer := make([]byte, 1<<20)
	var at int64
	for {
		if err := ctx.Err(); err != nil {
			return d, err
		}
		n, err := io.ReadFull(file, buffer)
		chunk := buffer[:n]
		if len(d.head) == 0 {
			d.head = bytes.Clone(chunk[:min(n, 1<<17)])
		}
		whole.Write(chunk)
		// The trailer may lie across two chunks.
		end := max(size-sha256.Size, 0)
		split := min(max(end-at, 0), int64(n))
		database.Write(chunk[:split])
		d.trailer = append(d.trailer, chunk[split:]...)
		d.zeros = d.zeros && len(bytes.Trim(chunk, "\x00")) == 0
		at += int64(n)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return d, err
		}
	}
	if at != size {
		return d, fmt.Errorf("it changed while it was read: %d bytes became %d", size, at)
	}
	d.whole, d.database = whole.Sum(nil), database.Sum(nil)
	return d, nil
}

// minimum: the two meta pages, the freelist and one leaf.
const minimum = 4 * 4096

// recognise names other kinds of files by their first bytes; of a bbolt database
// it tells the bytes that its newest valid meta page claims.
func recognise(head []byte) (other string, needed int64) {
	for _, known := range []struct{ magic, kind string }{
		{"\x1f\x8b", "gzip: gunzip it first"},
		{"\x28\xb5\x2f\xfd", "zstd: name it ….zst, or unzstd it first"},
		{"age-encryption.org/", "encrypted with age: --identity or --passphrase-file opens it"},
		{"PK\x03\x04", "a zip archive (K3s compresses its snapshots so): unzip it first"},
		{"\xfd7zXZ\x00", "xz: unxz it first"},
		{"BZh", "bzip2: bunzip2 it first"},
		{"SQLite format 3\x00", "an SQLite database (of K3s without etcd, perhaps), which etcd cannot restore"},
		{"{", "JSON, perhaps a manifest: the snapshot is the file beside it"},
		{"-----BEGIN", "a PEM file"},
	} {
		if bytes.HasPrefix(head, []byte(known.magic)) {
			return known.kind, 0
		}
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return "a tar archive: unpack it first", 0
	}
	return "", claimed(head)
}

// claimed is how many bytes the meta pages say the database has; 0 when neither
// page is one of bbolt's (go.etcd.io/bbolt/internal/common: Page, Meta).
func claimed(head []byte) int64 {
	const (
		pageHeader = 16
		magic      = 0xED0CDAED
	)
	var needed int64
	for _, page := range []int{0, 4096, 8192, 16384, 65536} { // meta 1 lies one page in, whatever the page size
		if len(head) < page+pageHeader+64 {
			break
		}
		meta := head[page+pageHeader:]
		sum := fnv.New64a()
		_, _ = sum.Write(meta[:56]) // a flipped bit must not make a sound file look cut off
		if binary.LittleEndian.Uint32(meta) != magic || binary.LittleEndian.Uint64(meta[56:]) != sum.Sum64() {
			continue
		}
		pageSize, pages := int64(binary.LittleEndian.Uint32(meta[8:])), int64(binary.LittleEndian.Uint64(meta[40:])) //nolint:gosec // its range is checked below
		if pageSize >= sector && pageSize <= 1<<16 && pages > 0 && pages < 1<<40 {
			needed = max(needed, pageSize*pages)
		}
	}
	return needed
}
