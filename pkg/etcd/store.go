package etcd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/disk"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/keep"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/record"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/take"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// put gives the snapshot its place, and reads it back from there.
func (b *Backup) put(ctx context.Context, f *file) error {
	r := b.result
	if f.directory == "" { // it lies there already
		if err := os.Rename(f.path, filepath.Join(b.Local, r.Name)); err != nil {
			return err
		}
		f.kept = true
		r.Stored = report.StoredObject{Size: r.Snapshot.Size, SHA256: r.Snapshot.SHA256}
		return keep.Sync(b.Local)
	}
	source, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // it was only read
	var written counter
	err = b.Store.Put(ctx, r.Name, func(w io.Writer) error {
		if _, err := source.Seek(0, io.SeekStart); err != nil { // a store that broke is written to anew
			return err
		}
		written = counter{hash: sha256.New(), size: 0}
		return b.Codec.Encode(io.MultiWriter(w, &written), &progress{Reader: source, total: r.Snapshot.Size, tell: b.Bytes})
	})
	if err != nil {
		return fmt.Errorf("keeping the snapshot: %w", err)
	}
	r.Stored = report.StoredObject{Size: written.size, SHA256: hex.EncodeToString(written.hash.Sum(nil))}
	if b.Codec.Compress {
		r.Stored.Compression = "zstd"
	}
	if len(b.Codec.Recipients) > 0 {
		r.Stored.Encryption = "age"
	}
	b.Step("reading back")
	return keep.CheckStored(ctx, b.Store, r.Name, r.Stored, b.Bytes)
}

// counter counts and hashes what passes.
type counter struct {
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	size int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	return c.hash.Write(p)
}

// progress tells how much was read.
type progress struct {
	io.Reader
	done, total int64
	tell        func(done, total int64)
}

func (p *progress) Read(buffer []byte) (int, error) {
	n, err := p.Reader.Read(buffer)
	p.done += int64(n)
	p.tell(p.done, p.total)
	return n, err
}

// record leaves the sign that doctor reads.
func (b *Backup) record(ctx context.Context) error {
	if b.Snapshot == nil || b.result.Contents != nil && !b.sameCluster(b.result.Contents) {
		return nil
	}
	annotations := record.Annotations(b.result)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	configMaps := b.Client.CoreV1().ConfigMaps(record.Namespace)
	_, err = configMaps.Patch(ctx, record.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubectl-prod"})
	if !apierrors.IsNotFound(err) {
		return err
	}
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: record.Name, Namespace: record.Namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": "kubectl-prod"}, Annotations: map[string]string{},
	}}
	for name, value := range annotations {
		if value != nil {
			made.Annotations[name] = *value
		}
	}
	_, err = configMaps.Create(ctx, made, metav1.CreateOptions{FieldManager: "kubectl-prod"})
	return err
}

// roomOnNode is an error when the node has too little room for the helper. Where
// its kubelet may not be asked, the scratch's own limit is all that guards it.
func (b *Backup) roomOnNode(ctx context.Context) error {
	raw, err := b.Client.CoreV1().RESTClient().Get().Resource("nodes").Name(b.chosen.Node).SubResource("proxy").Suffix("stats/summary").DoRaw(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var summary struct {
		Node struct {
			Fs struct {
				AvailableBytes *int64 `json:"availableBytes"`
			} `json:"fs"`
		} `json:"node"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &summary)
	}
	available := summary.Node.Fs.AvailableBytes
	if err != nil || available == nil {
		b.warn("the free space of node %s was not checked: its kubelet did not tell (nodes/proxy)", b.chosen.Node)
		return nil //nolint:nilerr // it is told as not checked
	}
	if need := take.Scratch(b.result.Source.DBSize); *available < need {
		return errors.New("node " + b.chosen.Node + " has " + disk.Size(*available) + " free, and the helper needs " + disk.Size(need) + " there to save and restore a database of " + disk.Size(b.result.Source.DBSize) + "; --endpoints with certificates needs none")
	}
	return nil
}
