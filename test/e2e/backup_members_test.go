//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// quota of the three members, in bytes: enough for the snapshot, and soon full.
const quota = 64 << 20

// etcdMember is one of three etcd processes.
type etcdMember struct {
	name, client, peer, data string
	process                  *exec.Cmd
}

// threeMembers restores a cluster's snapshot as three members, each from the same
// file, and takes backups while they are well, sick and few.
func threeMembers(t *testing.T, c *testCluster) {
	dir := t.TempDir()
	b := c.backup(t, dir, c.etcdFlags(t, "")...)
	snapshot := filepath.Join(dir, b.Name)
	var members []*etcdMember
	var peers, endpoints []string
	addresses := freeAddresses(t, 6)
	for i := range 3 {
		m := &etcdMember{name: fmt.Sprintf("m%d", i+1), client: "http://" + addresses[2*i], peer: "http://" + addresses[2*i+1], data: filepath.Join(t.TempDir(), "data")}
		members = append(members, m)
		peers = append(peers, m.name+"="+m.peer)
		endpoints = append(endpoints, m.client)
	}
	cluster := strings.Join(peers, ",")
	for _, m := range members {
		if r := run(t, nil, c.lookUp(t, "etcdutl"), "snapshot", "restore", snapshot, "--data-dir="+m.data, "--name="+m.name,
			"--initial-cluster="+cluster, "--initial-advertise-peer-urls="+m.peer, "--bump-revision=1000000000", "--mark-compacted"); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	for _, m := range members {
		c.startMember(t, m, cluster)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	leader := func() string {
		name := ""
		eventually(t, time.Minute, func() error {
			for _, m := range members {
				s, err := client.Status(within(t, 5*time.Second), m.client)
				if err == nil && s.Header.MemberId == s.Leader {
					name = m.name
					return nil
				}
			}
			return fmt.Errorf("no leader")
		})
		return name
	}
	take := func(t *testing.T, more ...string) result {
		t.Helper()
		return c.kubectl(t, nil, append([]string{"prod", "backup-etcd", "--to", t.TempDir(), "--endpoints", strings.Join(endpoints, ",")}, more...)...)
	}

	t.Run("a healthy follower is asked", func(t *testing.T) {
		lead := leader()
		r := proven(t, take(t, "-o", "json"))
		if r.Source.Member == lead || len(r.Source.Members) != 3 || r.Source.EtcdClusterID == "" {
			t.Errorf("the leader is %s, asked was %s of %+v", lead, r.Source.Member, r.Source.Members)
		}
		if r.Snapshot.Revision < 1_000_000_000 {
			t.Errorf("the revision is %d", r.Snapshot.Revision)
		}
	})
	t.Run("the leader where it is all that was given", func(t *testing.T) {
		lead := leader()
		for _, m := range members {
			if m.name == lead {
				if r := proven(t, c.kubectl(t, nil, "prod", "backup-etcd", "--to", t.TempDir(), "--endpoints", m.client, "-o", "json")); r.Source.Member != lead {
					t.Errorf("asked was %s", r.Source.Member)
				}
			}
		}
	})
	t.Run("never a learner", func(t *testing.T) {
		addresses := freeAddresses(t, 2)
		learner := &etcdMember{name: "m4", client: "http://" + addresses[0], peer: "http://" + addresses[1], data: filepath.Join(t.TempDir(), "data")}
		var added *clientv3.MemberAddResponse
		eventually(t, time.Minute, func() (err error) { // not before the members know each other for a while
			added, err = client.MemberAddAsLearner(within(t, 30*time.Second), []string{learner.peer})
			return err
		})
		c.startMember(t, learner, cluster+","+learner.name+"="+learner.peer, "--initial-cluster-state=existing")
		eventually(t, time.Minute, func() error { _, err := client.Status(within(t, 5*time.Second), learner.client); return err })
		r := take(t, "--endpoints", learner.client, "-o", "json")
		if r.code != 0 || strings.Contains(r.stdout, `"member": "m4"`) || !strings.Contains(r.stdout, `"learner": true`) {
			t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
		alone := c.kubectl(t, nil, "prod", "backup-etcd", "--to", t.TempDir(), "--endpoints", learner.client)
		if alone.code != 2 || strings.Count(alone.stderr, "error:") != 1 {
			t.Errorf("exit code %d: %s", alone.code, alone.stderr)
		}
		t.Logf("%s", alone.stderr)
		if _, err := client.MemberRemove(within(t, 30*time.Second), added.Member.ID); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a quota nearly reached is told, and so is the alarm when it is", func(t *testing.T) {
		value := strings.Repeat("x", 1<<20)
		fill := func(until func(size int64) bool) (err error) {
			for i := 0; err == nil; i++ {
				s, asked := client.Status(within(t, 5*time.Second), members[0].client)
				if asked != nil || until(s.DbSize) {
					return asked
				}
				_, err = client.Put(within(t, 30*time.Second), fmt.Sprintf("/ballast/%d", i), value)
			}
			return err
		}
		if err := fill(func(size int64) bool { return size > quota*83/100 }); err != nil {
			t.Fatal(err)
		}
		if r := take(t); r.code != 0 || !strings.Contains(r.stdout, "of a quota of 64.0 MiB") {
			t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
		if err := fill(func(int64) bool { return false }); !strings.Contains(err.Error(), "database space exceeded") {
			t.Fatal(err)
		}
		r := take(t)
		if r.code != 0 || !strings.Contains(r.stdout, "warning: etcd has raised the alarm NOSPACE") {
			t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
		t.Logf("%s", r.stdout)
	})
	t.Run("one member down is told, and it is taken from another", func(t *testing.T) {
		down := members[2]
		_ = down.process.Process.Kill()
		_ = down.process.Wait()
		leader() // a new one is found, if it was that
		eventually(t, time.Minute, func() error {
			r := take(t)
			if r.code != 0 || !strings.Contains(r.stdout, "warning: etcd member m3 is not healthy: ") || strings.Contains(r.stdout, "member m3\n") {
				return fmt.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			return nil
		})
	})
	t.Run("without a majority nothing is taken, in one line", func(t *testing.T) {
		_ = members[1].process.Process.Kill()
		_ = members[1].process.Wait()
		eventually(t, time.Minute, func() error {
			dir := t.TempDir()
			r := c.kubectl(t, nil, "prod", "backup-etcd", "--to", dir, "--endpoints", strings.Join(endpoints, ","))
			if r.code != 2 || strings.Count(r.stderr, "\n") != 1 {
				return fmt.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			emptyDir(t, dir)
			t.Logf("%s", r.stderr)
			return nil
		})
	})
}

// proven is a backup whose API server is another etcd's: all but its counts could
// be compared.
func proven(t *testing.T, r result) *report.EtcdBackup {
	t.Helper()
	var b report.EtcdBackup
	if err := json.Unmarshal([]byte(r.stdout), &b); r.code != 0 || err != nil || b.Proof.Verdict != report.Proven {
		t.Fatalf("exit code %d, %v: %s", r.code, err, r.stderr)
	}
	for _, check := range b.Proof.Checks {
		if want := map[bool]string{true: report.CheckNotComparable, false: report.CheckPassed}[check.Name == "live objects"]; check.State != want {
			t.Errorf("check %s %s: %s", check.Name, check.State, check.Detail)
		}
	}
	return &b
}

// startMember runs a member until the test ends.
func (c *testCluster) startMember(t *testing.T, m *etcdMember, cluster string, flags ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	m.process = exec.Command(c.lookUp(t, "etcd"), append([]string{
		"--name=" + m.name, "--data-dir=" + m.data, "--listen-client-urls=" + m.client, "--advertise-client-urls=" + m.client,
		"--listen-peer-urls=" + m.peer, "--initial-advertise-peer-urls=" + m.peer, "--initial-cluster=" + cluster,
		"--unsafe-no-fsync", fmt.Sprintf("--quota-backend-bytes=%d", quota),
	}, flags...)...)
	m.process.Stdout, m.process.Stderr = log, log
	if err := m.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.process.Process.Kill(); _ = m.process.Wait(); _ = log.Close() })
}
