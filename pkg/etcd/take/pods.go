package take

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/find"
)

const (
	servePort = 2379
	// tries is how often a broken stream is begun anew: it cannot be resumed, but
	// the helper still serves the same data.
	tries = 4
	// scratchTimes is how many times the database fits into the helper's scratch:
	// the snapshot, the restored data, and etcd's log beside it.
	scratchTimes = 3
	scratchMore  = 512 << 20
)

// Scratch is how much room a helper needs on the node for a database.
func Scratch(dbSize int64) int64 { return scratchTimes*dbSize + scratchMore }

// Saved is a helper that serves a restored snapshot.
type Saved struct {
	// Revision is the restored etcd's at the start.
	Revision int64

	helpers    Helpers
	config     *rest.Config
	member     find.Member
	pod        *corev1.Pod
	remove     func() error
	forward    *Forward
	connection *grpc.ClientConn
}

// Save has a helper pod save a snapshot with the node's certificates, restore it
// and serve it on its own loopback. Close removes the helper, whatever happened.
func (h Helpers) Save(ctx context.Context, config *rest.Config, m find.Member, dbSize int64) (*Saved, error) {
	pod := h.pod(m, "save", Scratch(dbSize))
	const file, data, peer = scratchPath + "/snapshot.db", scratchPath + "/data", "http://127.0.0.1:2380"
	save := etcdctl(m, "save", "snapshot", "save", file)
	save.VolumeMounts = append(save.VolumeMounts, scratchMount())
	restore := container(m, "restore", "etcdutl", "snapshot", "restore", file, "--data-dir="+data,
		"--name=restored", "--initial-cluster=restored="+peer, "--initial-advertise-peer-urls="+peer)
	serve := container(m, "serve", "etcd", "--name=restored", "--data-dir="+data, "--initial-cluster=restored="+peer,
		"--initial-advertise-peer-urls="+peer, "--listen-peer-urls="+peer,
		fmt.Sprintf("--listen-client-urls=http://127.0.0.1:%d", servePort), fmt.Sprintf("--advertise-client-urls=http://127.0.0.1:%d", servePort),
		"--unsafe-no-fsync", "--quota-backend-bytes=-1")
	for _, c := range []*corev1.Container{&restore, &serve} {
		c.VolumeMounts = []corev1.VolumeMount{scratchMount()}
		c.WorkingDir = scratchPath
	}
	pod.Spec.InitContainers = []corev1.Container{save, restore}
	pod.Spec.Containers = []corev1.Container{serve}
	remove, err := h.create(ctx, pod)
	if err != nil {
		return nil, err
	}
	s := &Saved{helpers: h, config: config, member: m, pod: pod, remove: remove}
	// Saving and restoring read and write the database some times over.
	within := h.Start + time.Duration(dbSize/(8<<20))*time.Second
	if err := h.await(ctx, pod, within, started); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.awaitRestored(ctx, within); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func started(pod *corev1.Pod) bool {
	return len(pod.Status.ContainerStatuses) == 1 && pod.Status.ContainerStatuses[0].State.Running != nil
}

// awaitRestored connects and asks the restored etcd who it is, until it answers.
func (s *Saved) awaitRestored(ctx context.Context, within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		err := s.connect(ctx)
		if err == nil {
			asking, cancel := context.WithTimeout(ctx, 10*time.Second)
			var status *pb.StatusResponse
			status, err = pb.NewMaintenanceClient(s.connection).Status(asking, &pb.StatusRequest{})
			cancel()
			if err == nil && status.GetLeader() != 0 {
				s.Revision = status.GetHeader().GetRevision()
				return nil
			}
		}
		if gone := s.helpers.await(ctx, s.pod, s.helpers.Start, started); gone != nil {
			return gone
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the restored etcd in helper pod %s did not answer within %s: %w", s.pod.Name, within, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

// connect makes the way to the restored etcd anew.
func (s *Saved) connect(ctx context.Context) error {
	s.disconnect()
	if err := ctx.Err(); err != nil {
		return err
	}
	forward, err := NewForward(ctx, s.config, s.helpers.Client, s.pod.Namespace, s.pod.Name, servePort)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient("passthrough:///restored", grpc.WithContextDialer(forward.Dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // inside the API server's TLS
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)), grpc.WithInitialWindowSize(8<<20), grpc.WithInitialConnWindowSize(16<<20), grpc.WithReadBufferSize(256<<10))
	if err != nil {
		return errors.Join(err, forward.Close())
	}
	s.forward, s.connection = forward, connection
	return nil
}

func (s *Saved) disconnect() {
	if s.connection != nil {
		_ = s.connection.Close() // it is of no more use
	}
	if s.forward != nil {
		_ = s.forward.Close()
	}
	s.connection, s.forward = nil, nil
}

// Rewinder is where a stream is written, which may have to begin anew.
type Rewinder interface {
	io.Writer
	// Rewind drops what was written.
	Rewind() error
}

// Stream brings the snapshot out, and begins anew where the way broke.
func (s *Saved) Stream(ctx context.Context, w Rewinder, progress func(done, total int64)) (received Received, retries int, err error) {
	for {
		if s.connection != nil {
			received, err = Stream(ctx, s.connection, w, progress)
		}
		if err == nil && s.connection != nil || ctx.Err() != nil || errors.Is(err, errDisk) || retries == tries-1 {
			return received, retries, err
		}
		retries++
		if again := w.Rewind(); again != nil {
			return received, retries, again
		}
		if gone := s.awaitRestored(ctx, s.helpers.Start); gone != nil {
			return received, retries, fmt.Errorf("%w; and it cannot be begun anew: %w", err, gone)
		}
	}
}

// Close removes the helper.
func (s *Saved) Close() error {
	s.disconnect()
	return s.remove()
}

// Hash is etcd's hash of all keys at a revision.
type Hash struct {
	Hash                      uint32
	Revision, CompactRevision int64
}

// Hash asks the live member for its hash at a revision, through a helper pod
// with the node's certificates. incomparable says why there is none.
func (h Helpers) Hash(ctx context.Context, m find.Member, revision int64) (hash Hash, incomparable string, err error) {
	pod := h.pod(m, "hash", 0)
	pod.Spec.Containers = []corev1.Container{etcdctl(m, "hash", "endpoint", "hashkv", fmt.Sprintf("--rev=%d", revision), "-w=json")}
	remove, err := h.create(ctx, pod)
	if err != nil {
		return hash, "", err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := h.await(ctx, pod, h.Start+5*time.Minute, func(p *corev1.Pod) bool { return ended(p, "hash") }); err != nil {
		return hash, "", err
	}
	log, err := h.log(ctx, pod, "hash")
	if err != nil {
		return hash, "", fmt.Errorf("reading the live member's hash: %w", err)
	}
	var answers []struct {
		HashKV struct {
			Hash            uint32
			CompactRevision int64 `json:"compact_revision"`
			HashRevision    int64 `json:"hash_revision"`
		}
	}
	if json.Unmarshal([]byte(jsonLine(log, "[")), &answers) != nil || len(answers) != 1 {
		return hash, h.lastWords(ctx, pod, "hash"), nil
	}
	a := answers[0].HashKV
	return Hash{Hash: a.Hash, Revision: revision, CompactRevision: a.CompactRevision}, "", nil
}
