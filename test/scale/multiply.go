package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// A fleet that a scheduler would need hours for is a smaller one, several times
// over, in its etcd: see copies.

const (
	keyPage     = 500
	keysAtOnce  = 64
	snapshotDB  = "snapshot.db"
	multiplyURL = "unix://multiply" // a socket in the working directory
)

// multiply makes an archive of so many times a fleet of which there is one.
func multiply(ctx context.Context, from Size, times int) (err error) {
	archive, err := from.archive()
	if err != nil {
		return err
	}
	target, err := Size{Nodes: from.Nodes * times, Pods: from.Pods * times}.archive()
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(archive), "multiply-")
	if err != nil {
		return fmt.Errorf("making a scratch directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := command(ctx, "tar", "-xf", archive, "-C", scratch); err != nil {
		return err
	}
	if err := os.Chdir(scratch); err != nil { // for etcd's sockets, whose names are short
		return err
	}
	server, err := serve("data")
	if err != nil {
		return err
	}
	defer server.Close()
	client := v3client.New(server.Server)
	defer func() { _ = client.Close() }()
	if err := multiplyKeys(ctx, client, from, times); err != nil {
		return err
	}
	if err := saveSnapshot(ctx, client); err != nil {
		return err
	}
	if err := command(ctx, "tar", "-cf", target+".part", "settings.json", "pki", "kubeconfigs", "kubeconfig", snapshotDB); err != nil {
		return err
	}
	return errors.Join(os.Chmod(target+".part", 0o600), os.Rename(target+".part", target))
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// serve restores the snapshot and runs etcd on it, in this process.
func serve(data string) (*embed.Etcd, error) {
	peer, client := url.URL{Scheme: "unix", Host: "multiply:1"}, url.URL{Scheme: "unix", Host: "multiply:2"}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.InitialCluster = "multiply", data, "multiply="+multiplyURL+":1"
	err := snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: snapshotDB, OutputDataDir: data, Name: cfg.Name, PeerURLs: []string{peer.String()},
		InitialCluster: cfg.InitialCluster, InitialClusterToken: cfg.InitialClusterToken,
	})
	if err != nil {
		return nil, fmt.Errorf("restoring the fleet's snapshot: %w", err)
	}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.UnsafeNoFsync, cfg.QuotaBackendBytes = true, -1
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("starting etcd on the fleet: %w", err)
	}
	select {
	case <-server.Server.ReadyNotify():
		return server, nil
	case err := <-server.Err():
		return nil, fmt.Errorf("starting etcd on the fleet: %w", err)
	}
}

// multiplyKeys writes the copies of what is a team's or a node's.
func multiplyKeys(ctx context.Context, client *clientv3.Client, from Size, times int) error {
	c := copies{nodes: from.Nodes, pattern: names(), taken: map[netip.Addr]bool{}, shared: map[string]bool{}}
	// What is there once is learnt first: its names stay, and its addresses.
	revision, err := eachKey(ctx, client, 0, c.learn)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(createAtOnce)
	written := 0
	for n := 1; n < times; n++ {
		c.begin(n)
		var puts []clientv3.Op
		flush := func() {
			batch := puts
			puts, written = nil, written+len(batch)
			group.Go(func() error {
				_, err := client.Txn(ctx).Then(batch...).Commit()
				return err
			})
		}
		_, err := eachKey(ctx, client, revision, func(key string, value []byte) error {
			if !c.multiplied(key) {
				return nil
			}
			again, copied, err := c.copied(key, value)
			if err != nil {
				return err
			}
			if puts = append(puts, clientv3.OpPut(again, string(copied))); len(puts) == keysAtOnce {
				flush()
			}
			return nil
		})
		if err != nil {
			return err
		}
		flush()
		fmt.Fprintf(os.Stderr, "copy %d of %d: %d objects written\n", n+1, times, written)
	}
	return group.Wait()
}

// eachKey reads what Kubernetes keeps, as it was at a revision: 0 is now, and the
// one that this was is returned.
func eachKey(ctx context.Context, client *clientv3.Client, revision int64, do func(key string, value []byte) error) (int64, error) {
	from := "/registry/"
	for {
		page, err := client.Get(ctx, from, clientv3.WithRange("/registry0"), clientv3.WithLimit(keyPage), clientv3.WithRev(revision))
		if err != nil {
			return 0, fmt.Errorf("reading the fleet's etcd: %w", err)
		}
		if revision == 0 {
			revision = page.Header.Revision
		}
		for _, kv := range page.Kvs {
			if err := do(string(kv.Key), kv.Value); err != nil {
				return 0, fmt.Errorf("%s: %w", kv.Key, err)
			}
			from = string(kv.Key) + "\x00"
		}
		if !page.More {
			return revision, nil
		}
	}
}

// saveSnapshot replaces the snapshot by one of what is there now.
func saveSnapshot(ctx context.Context, client *clientv3.Client) error {
	stream, err := client.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("taking a snapshot: %w", err)
	}
	defer func() { _ = stream.Close() }()
	file, err := os.Create(snapshotDB)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, stream)
	return errors.Join(err, file.Close())
}

// uidOf is an object's UID, from its JSON.
func uidOf(text []byte) (string, error) {
	var object struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	err := json.Unmarshal(text, &object)
	return object.Metadata.UID, err
}
