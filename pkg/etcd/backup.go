// Package etcd backs a cluster's etcd up: find it, take a snapshot, prove it,
// keep it, and tell the cluster.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/disk"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/find"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/keep"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/prove"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/take"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// startTimeout is how long a helper pod may take to start: its image is on the
// node already.
const startTimeout = 2 * time.Minute

// Backup is one backup to be made.
type Backup struct {
	// Snapshot is the cluster of the current context; nil where --endpoints are
	// given and it could not be reached. Config and Client go with it.
	Snapshot *cluster.Snapshot
	Config   *rest.Config
	Client   kubernetes.Interface
	// Endpoints are asked instead of a helper pod when they have URLs.
	Endpoints take.Endpoints

	// Local is the directory of Store; "" where that is none.
	Local  string
	Store  keep.Store
	Codec  keep.Codec
	Rule   keep.Rule
	Prover prove.Prover
	Depth  prove.Depth
	// Timeout is after how long a helper pod ends by itself.
	Timeout time.Duration
	Tool    string

	Step  func(doing string)
	Bytes func(done, total int64)
	Warn  func(format string, args ...any)

	result *report.EtcdBackup
	helper take.Helpers
	chosen find.Member
}

// source is a member that sends its snapshot.
type source interface {
	Stream(ctx context.Context, w take.Rewinder, progress func(done, total int64)) (take.Received, int, error)
	Close() error
}

// Run makes the backup. What it returns beside an error is a backup that could
// not be proven, kept as such.
func (b *Backup) Run(ctx context.Context) (*report.EtcdBackup, error) {
	b.result = &report.EtcdBackup{
		TypeMeta:    metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "EtcdBackup"},
		Destination: b.Store.String(), Tool: b.Tool,
		Time: metav1.NewTime(time.Now().UTC().Truncate(time.Second)),
	}
	b.helper = take.Helpers{Client: b.Client, Deadline: b.Timeout, Start: startTimeout, Warn: b.Warn}
	var target find.Target
	if b.Snapshot != nil {
		target = Describe(&b.result.Source, b.Snapshot)
	}
	if len(b.Endpoints.URLs) > 0 {
		return b.throughEndpoint(ctx)
	}
	return b.throughPods(ctx, target)
}

// Describe fills in what the cluster's own API tells: who it is, and how its
// etcd's pods are laid out.
func Describe(s *report.EtcdSource, snapshot *cluster.Snapshot) find.Target {
	s.Context, s.Server, s.KubernetesVersion = snapshot.Origin.Context, snapshot.Origin.Server, snapshot.Origin.Version
	if namespace := snapshot.Namespace(metav1.NamespaceSystem); namespace != nil {
		s.ClusterUID = string(namespace.UID)
	}
	target := find.Find(snapshot)
	s.Distribution = target.Distribution
	if len(target.Members) > 0 {
		s.Layout = target.Members[0].Layout(target.EncryptionConfig)
	}
	for _, m := range target.Members {
		s.Members = append(s.Members, report.EtcdMember{Name: m.Name, Node: m.Node, PeerURLs: []string{m.PeerURL}, ClientURLs: []string{m.ClientURL}})
	}
	return target
}

func (b *Backup) throughEndpoint(ctx context.Context) (*report.EtcdBackup, error) {
	b.Step("asking etcd")
	member, health, err := b.Endpoints.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = member.Close() }() // it was only read
	b.result.Source.Way = "endpoint"
	b.note(health, member.Name)
	live := func(ctx context.Context, revision int64) (take.Hash, string, error) {
		return member.Hash(ctx, revision)
	}
	return b.bring(ctx, member, 0, live)
}

func (b *Backup) throughPods(ctx context.Context, target find.Target) (*report.EtcdBackup, error) {
	for _, warning := range target.Warnings {
		b.warn("%s", warning)
	}
	if target.Road != nil {
		return nil, target.Road
	}
	b.Step("looking at etcd")
	removed, err := b.helper.RemoveOrphans(ctx, target.Members[0].Namespace)
	for _, pod := range removed {
		b.Warn("removed helper pod %s of an earlier run", pod)
	}
	if err != nil {
		return nil, err
	}
	if err := b.choose(ctx, target.Members); err != nil {
		return nil, err
	}
	if err := b.roomOnNode(ctx); err != nil {
		return nil, err
	}
	b.Step(fmt.Sprintf("member %s saves and restores", b.chosen.Name))
	saved, err := b.helper.Save(ctx, b.Config, b.chosen, b.result.Source.DBSize)
	if err != nil {
		return nil, err
	}
	b.result.Source.Way = "helper pod"
	closing := &once{close: saved.Close}
	// The live hash is asked at once: in five minutes the API server compacts.
	type answer struct {
		hash take.Hash
		why  string
		err  error
	}
	answers := make(chan answer, 1)
	asking, stop := context.WithCancel(ctx)
	defer stop()
	if b.Depth == prove.Integrity {
		answers <- answer{}
	} else {
		go func() {
			hash, why, err := b.helper.Hash(asking, b.chosen, saved.Revision)
			answers <- answer{hash, why, err}
		}()
	}
	live := func(context.Context, int64) (take.Hash, string, error) {
		a := <-answers
		answers <- a
		return a.hash, a.why, a.err
	}
	result, err := b.bring(ctx, closer{saved, closing}, saved.Revision, live)
	stop()
	var left *take.LeftError
	if _, _, failed := live(ctx, 0); errors.As(failed, &left) { // its helper is gone once it has answered
		err = errors.Join(err, left)
	}
	return result, errors.Join(err, closing.Close())
}

// once closes something at the first call.
type once struct {
	close func() error
	done  bool
}

func (o *once) Close() error {
	if o.done {
		return nil
	}
	o.done = true
	return o.close()
}

// closer is a source whose helper goes as soon as the snapshot is here.
type closer struct {
	source
	once *once
}

func (c closer) Close() error { return c.once.Close() }

// choose looks at etcd's health through the first pod that can, and picks the
// member.
func (b *Backup) choose(ctx context.Context, members []find.Member) error {
	slices.SortStableFunc(members, func(a, b find.Member) int {
		return map[bool]int{true: 0, false: 1}[a.Ready] - map[bool]int{true: 0, false: 1}[b.Ready]
	})
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	var health take.Health
	var failed error
	for _, m := range members {
		looked, err := b.helper.Look(ctx, m)
		if err == nil {
			health, failed = looked, nil
			break
		}
		failed = errors.Join(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	if failed != nil {
		return failed
	}
	name, err := health.Choose(names)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Name == name {
			b.chosen = m
		}
	}
	b.note(health, name)
	if b.result.Source.Quota == 0 {
		b.result.Source.Quota = parseQuota(b.chosen.Quota)
	}
	return nil
}

func parseQuota(flag string) int64 {
	quota, err := strconv.ParseInt(flag, 10, 64)
	if err != nil || quota < 0 {
		return 0
	}
	return quota
}

// note keeps what etcd said of itself.
func (b *Backup) note(health take.Health, chosen string) {
	s := &b.result.Source
	status := health.Status[chosen]
	s.Member, s.EtcdVersion, s.EtcdClusterID = chosen, status.Version, health.ClusterID
	s.DBSize, s.DBInUse, s.Quota, s.Alarms = status.DBSize, status.DBInUse, status.Quota, health.Alarms
	nodes := map[string]string{}
	for _, m := range s.Members {
		nodes[m.Name] = m.Node
	}
	s.Members = health.Members
	for i := range s.Members {
		m := &s.Members[i]
		m.Node = nodes[m.Name]
		if m.Error != "" {
			b.warn("etcd member %s is not healthy: %s", m.Name, m.Error)
		}
	}
	for _, alarm := range s.Alarms {
		b.warn("etcd has raised the alarm %s", alarm)
	}
	if s.Quota > 0 && s.DBSize > s.Quota*8/10 {
		b.warn("etcd's database has %s of a quota of %s: at its quota the cluster takes no more writes", disk.Size(s.DBSize), disk.Size(s.Quota))
	}
}

func (b *Backup) warn(format string, args ...any) {
	b.result.Warnings = append(b.result.Warnings, fmt.Sprintf(format, args...))
}

// bring streams the snapshot here, proves and keeps it.
func (b *Backup) bring(ctx context.Context, from source, served int64, live liveHash) (*report.EtcdBackup, error) {
	file, err := b.newFile()
	if err != nil {
		return nil, err
	}
	defer file.discard()
	b.Step("streaming")
	began := time.Now()
	received, retries, err := from.Stream(ctx, file, b.Bytes)
	if err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	b.result.Transfer = report.Transfer{Bytes: received.Bytes, Seconds: time.Since(began).Seconds(), Retries: retries}
	if err := file.finish(); err != nil {
		return nil, err
	}
	hash, why, failed := take.Hash{}, "", error(nil)
	if served > 0 { // the helper pod: its answer is under way since it stood
		hash, why, failed = live(ctx, served)
		if err := from.Close(); err != nil {
			b.warn("%v", err)
		}
	}
	proven, err := b.Prover.File(ctx, file.path, b.Depth, prove.Expected{SHA256: received.SHA256, Revision: served})
	if err != nil {
		return nil, err
	}
	if served == 0 && b.Depth != prove.Integrity {
		hash, why, failed = live(ctx, proven.Snapshot.HashRevision)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	b.compare(ctx, proven, hash, why, failed)
	b.result.Snapshot, b.result.Proof, b.result.Contents = proven.Snapshot, proven.Proof, proven.Contents
	return b.store(ctx, file)
}

// store gives the file its place and its manifest, and tells the cluster.
func (b *Backup) store(ctx context.Context, file *file) (*report.EtcdBackup, error) {
	r := b.result
	if c := r.Contents; c != nil && c.ClusterUID != "" {
		r.Source.ClusterUID = c.ClusterUID
	}
	sound := r.Proof.Verdict == report.Proven
	r.Name = keep.Name(r.Source.ClusterUID, r.Time.Time) + b.Codec.Ending()
	if !sound {
		r.Name += keep.Unproven
	}
	b.Step("keeping")
	if err := b.put(ctx, file); err != nil {
		return nil, err
	}
	if err := keep.WriteManifest(ctx, b.Store, r); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the manifest beside %s: %w", r.Name, err), b.takeBack(ctx))
	}
	if !sound {
		return r, nil
	}
	if err := b.record(ctx); err != nil {
		b.warn("the backup is made and proven, and the record in the cluster that doctor reads was not written: %v", err)
	}
	return r, b.prune(ctx)
}

// takeBack removes a snapshot whose manifest could not be written: nobody would
// know what it is, and no rule would ever remove it.
func (b *Backup) takeBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	if err := b.Store.Delete(ctx, b.result.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("and %s lies there without one: %w", b.result.Name, err)
	}
	return nil
}

// prune removes older backups by the rule.
func (b *Backup) prune(ctx context.Context) error {
	if b.Rule == (keep.Rule{}) {
		return nil
	}
	list, err := keep.List(ctx, b.Store)
	if err == nil {
		b.Rule.Decide(list.Items, b.result.Source.ClusterUID, time.Now())
		b.result.Pruned, err = keep.Remove(ctx, b.Store, list.Items)
	}
	if err != nil {
		return fmt.Errorf("the backup %s is made, proven and kept; removing older ones failed: %w", b.result.Name, err)
	}
	return nil
}

// file is the snapshot on its way: not whole, readable by its owner alone.
type file struct {
	*os.File
	path string
	// directory is removed with it where it is ours.
	directory string
	kept      bool
}

// newFile makes it where it will stay, or in the scratch where it will be
// changed on its way to somewhere else.
func (b *Backup) newFile() (*file, error) {
	f := &file{}
	where := b.Local
	if b.Local == "" || b.Codec.Ending() != "" {
		made, err := os.MkdirTemp(b.Prover.Scratch, "kubectl-prod-snapshot-")
		if err != nil {
			return nil, fmt.Errorf("no place for the snapshot: %w (--scratch names another)", err)
		}
		where, f.directory = made, made
	} else if err := os.MkdirAll(where, 0o700); err != nil {
		return nil, err
	}
	if err := disk.Need(where, b.result.Source.DBSize+16<<20, "the snapshot"); err != nil {
		f.discard()
		return nil, err
	}
	f.path = filepath.Join(where, keep.Name(b.result.Source.ClusterUID, b.result.Time.Time)+keep.Part)
	opened, err := os.OpenFile(f.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		f.discard()
		return nil, err
	}
	f.File = opened
	return f, nil
}

// Rewind drops what was written.
func (f *file) Rewind() error {
	_, err := f.Seek(0, 0)
	return errors.Join(err, f.Truncate(0))
}

// finish brings it to the disk.
func (f *file) finish() error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	return nil
}

// discard removes it, unless it was kept.
func (f *file) discard() {
	if f.File != nil {
		_ = f.Close() // it may be closed
	}
	if !f.kept && f.path != "" {
		_ = os.Remove(f.path) // what matters has been told
	}
	if f.directory != "" {
		_ = os.RemoveAll(f.directory)
	}
}

// sameCluster reports whether the snapshot is of the cluster whose API was read.
func (b *Backup) sameCluster(contents *report.EtcdContents) bool {
	if b.Snapshot == nil || contents == nil {
		return false
	}
	namespace := b.Snapshot.Namespace(metav1.NamespaceSystem)
	return namespace != nil && strings.EqualFold(string(namespace.UID), contents.ClusterUID)
}
