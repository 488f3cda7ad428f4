package take

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Endpoints are etcd members that the user reaches with certificates of his own.
type Endpoints struct {
	URLs          []string
	CA, Cert, Key string
	// Timeout bounds each question, not the stream.
	Timeout time.Duration
}

// Member is a connection to one of them.
type Member struct {
	Name, URL string
	client    *clientv3.Client
	timeout   time.Duration
}

// Connect asks all endpoints for their health and connects to the best: a
// healthy follower, else the leader, never a learner.
func (e Endpoints) Connect(ctx context.Context) (*Member, Health, error) {
	config, err := e.tls()
	if err != nil {
		return nil, Health{}, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: e.URLs, TLS: config, DialTimeout: e.Timeout, Logger: zap.NewNop(), MaxCallRecvMsgSize: 64 << 20,
	})
	if err != nil {
		return nil, Health{}, fmt.Errorf("connecting to etcd: %w", err)
	}
	defer func() { _ = client.Close() }() // the one below stays
	health, urls, err := e.look(ctx, client)
	if err != nil {
		return nil, health, err
	}
	var names []string
	for name := range urls {
		names = append(names, name)
	}
	slices.Sort(names)
	chosen, err := health.Choose(names)
	if err != nil {
		return nil, health, err
	}
	one, err := clientv3.New(clientv3.Config{Endpoints: []string{urls[chosen]}, TLS: config, DialTimeout: e.Timeout, Logger: zap.NewNop()})
	if err != nil {
		return nil, health, fmt.Errorf("connecting to %s: %w", urls[chosen], err)
	}
	return &Member{Name: chosen, URL: urls[chosen], client: one, timeout: e.Timeout}, health, nil
}

func (e Endpoints) tls() (*tls.Config, error) {
	if e.CA == "" && e.Cert == "" && e.Key == "" {
		return nil, nil
	}
	info := transport.TLSInfo{TrustedCAFile: e.CA, CertFile: e.Cert, KeyFile: e.Key}
	config, err := info.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("--cacert, --cert, --key: %w", err)
	}
	return config, nil
}

// look is Helpers.Look for endpoints; urls are the given ones by member.
func (e Endpoints) look(ctx context.Context, client *clientv3.Client) (health Health, urls map[string]string, err error) {
	asking, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	list, err := client.MemberList(asking)
	if err != nil {
		return health, nil, fmt.Errorf("etcd at %s does not answer: %w", strings.Join(e.URLs, ", "), plain(ctx, err))
	}
	health = Health{ClusterID: strconv.FormatUint(list.Header.GetClusterId(), 16), Status: map[string]Status{}}
	names, urls := map[uint64]string{}, map[string]string{}
	for _, m := range list.Members {
		names[m.GetID()] = m.GetName()
		health.Members = append(health.Members, report.EtcdMember{
			Name: m.GetName(), ID: strconv.FormatUint(m.GetID(), 16), PeerURLs: m.GetPeerURLs(), ClientURLs: m.GetClientURLs(), Learner: m.GetIsLearner(),
			Error: "it was not asked: no endpoint given is its",
		})
	}
	for _, endpoint := range e.URLs {
		asking, cancel := context.WithTimeout(ctx, e.Timeout)
		s, err := client.Status(asking, endpoint)
		cancel()
		if err != nil {
			continue // the member that it belongs to stays unasked
		}
		name := names[s.Header.GetMemberId()]
		urls[name] = endpoint
		health.Status[name] = Status{
			Version: s.Version, DBSize: s.DbSize, DBInUse: s.DbSizeInUse, Quota: s.DbSizeQuota,
			Revision: s.Header.GetRevision(), Leader: s.Leader == s.Header.GetMemberId(), Learner: s.IsLearner, Error: trouble(s.Errors, s.Leader),
		}
	}
	if alarms, err := client.AlarmList(asking); err == nil {
		for _, a := range alarms.Alarms {
			health.Alarms = append(health.Alarms, a.GetAlarm().String())
		}
		slices.Sort(health.Alarms)
		health.Alarms = slices.Compact(health.Alarms)
	}
	health.settle()
	return health, urls, nil
}

// plain says a timeout as one.
func plain(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return errors.New("no answer in time (address, --cacert, --cert and --key decide)")
	}
	return err
}

// Stream brings the snapshot out, and begins anew where the way broke.
func (m *Member) Stream(ctx context.Context, w Rewinder, progress func(done, total int64)) (received Received, retries int, err error) {
	for {
		received, err = Stream(ctx, m.client.ActiveConnection(), w, progress)
		if err == nil || ctx.Err() != nil || errors.Is(err, errDisk) || retries == tries-1 {
			return received, retries, err
		}
		retries++
		if again := w.Rewind(); again != nil {
			return received, retries, again
		}
	}
}

// Hash is etcd's hash of all keys at a revision.
func (m *Member) Hash(ctx context.Context, revision int64) (hash Hash, incomparable string, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout+5*time.Minute)
	defer cancel()
	answer, err := pb.NewMaintenanceClient(m.client.ActiveConnection()).HashKV(ctx, &pb.HashKVRequest{Revision: revision})
	if err != nil {
		return hash, oneLine(err.Error()), nil
	}
	return Hash{Hash: answer.GetHash(), Revision: revision, CompactRevision: answer.GetCompactRevision()}, "", nil
}

// Close ends the connection.
func (m *Member) Close() error { return m.client.Close() }
