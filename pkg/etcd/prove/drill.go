package prove

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/verify"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	drillMember = "drill"
	// The drill's etcd listens on sockets in its working directory: no port, no
	// other user, and a name short enough for a socket's.
	drillPeer, drillClient = "unix://drill:1", "unix://drill:2"
	// startLimit is how long etcd may take to start: it reads the whole database
	// once.
	startLimit = 10 * time.Minute
)

// drill restores the snapshot as etcdutl does, starts etcd from it, and reads
// what a cluster's API server would.
func (x *examination) drill(ctx context.Context) error {
	if err := x.tell("restore"); err != nil {
		return err
	}
	data := filepath.Join(x.Scratch, "data")
	err := snapshot.NewV3(logger()).Restore(snapshot.RestoreConfig{
		SnapshotPath: x.File, OutputDataDir: data, SkipHashCheck: !x.Checksum,
		Name: drillMember, PeerURLs: []string{drillPeer},
		InitialCluster: drillMember + "=" + drillPeer, InitialClusterToken: drillMember,
	})
	if err != nil {
		x.failed("restore", report.NotRestorable, "etcdutl's restore: %v", err)
		return nil
	}
	// Restore itself looks only where ETCD_VERIFY is set.
	if err := verify.Verify(verify.Config{DataDir: data, ExactIndex: true, Logger: logger()}); err != nil {
		x.failed("restore", report.NotRestorable, "the restored data: %v", err)
		return nil
	}
	if err := x.hashOf(filepath.Join(data, "member", "snap", "db")); err != nil || x.Verdict != "" {
		return err
	}
	if err := x.tell("start of etcd"); err != nil {
		return err
	}
	server, err := start(ctx, data)
	if err != nil {
		x.failed("restore", report.NotRestorable, "etcd on the restored data: %v", err)
		return nil
	}
	defer server.Close()
	x.passed("restore", "etcd %s started from it", version.Version)
	if err := x.tell("objects"); err != nil {
		return err
	}
	return x.read(ctx, v3client.New(server.Server))
}

// hashOf takes HashKV of a database, as `etcdutl hashkv` does. No server runs
// on it: a server would let leases expire, which writes.
func (x *examination) hashOf(path string) error {
	if err := x.tell("hash of all keys"); err != nil {
		return err
	}
	be := backend.NewDefaultBackend(logger(), path)
	defer func() { _ = be.Close() }() // it was only read
	store := mvcc.NewStore(zap.NewNop(), be, &lease.FakeLessor{}, mvcc.StoreConfig{})
	defer func() { _ = store.Close() }() // it was only read
	at := x.Snapshot.Revision
	if x.HashAt > 0 && x.HashAt <= at {
		at = x.HashAt
	}
	hash, _, err := mvcc.NewHashStorage(zap.NewNop(), store).HashByRev(at)
	if err != nil {
		x.failed("keys", report.Inconsistent, "hashing all keys: %v", err)
		return nil
	}
	x.Snapshot.HashKV, x.Snapshot.HashRevision, x.Snapshot.CompactRevision = hash.Hash, hash.Revision, hash.CompactRevision
	x.passed("keys", "hash of all keys at revision %d is %08x", hash.Revision, hash.Hash)
	return nil
}

// start runs etcd in this process.
func start(ctx context.Context, data string) (*embed.Etcd, error) {
	peer, client := mustParse(drillPeer), mustParse(drillClient)
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = drillMember, data
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.InitialCluster, cfg.InitialClusterToken = drillMember+"="+drillPeer, drillMember
	cfg.UnsafeNoFsync = true
	cfg.QuotaBackendBytes = -1           // nothing is to be refused for its size
	cfg.TickMs, cfg.ElectionMs = 10, 100 // alone, it elects itself at once
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger())
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-server.Server.ReadyNotify():
		return server, nil
	case err = <-server.Err():
	case <-server.Server.StopNotify():
		err = fmt.Errorf("it stopped")
	case <-time.After(startLimit):
		err = fmt.Errorf("it was not ready within %s", startLimit)
	case <-ctx.Done():
		err = ctx.Err()
	}
	server.Close()
	return nil, err
}

// logger tells on standard error why etcd ends this process, and nothing else.
func logger() *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "message", LevelKey: "level", EncodeLevel: zapcore.LowercaseLevelEncoder})
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), zapcore.DPanicLevel))
}

func mustParse(text string) url.URL {
	parsed, err := url.Parse(text)
	if err != nil {
		panic(err) // a constant of ours
	}
	return *parsed
}
