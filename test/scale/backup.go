package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// targetStream is backup-etcd's stream ÷ etcdctl's own.
const targetStream = 0.8

// backedUp is backup-etcd beside `etcdctl snapshot save`, at the same endpoint.
type backedUp struct {
	bytes        int64
	ours, theirs samples // streaming alone; ours with the CPU and memory of the whole run
	whole        sample  // with the restore drill
}

// backup measures on a fleet, whose etcd listens on this machine.
func (b *bench) backup(ctx context.Context, scratch string) (*backedUp, error) {
	state := filepath.Dir(b.kubeconfig)
	data, err := os.ReadFile(filepath.Join(state, "settings.json"))
	if err != nil {
		return nil, fmt.Errorf("finding etcd: %w", err)
	}
	var settings struct{ Ports map[string]int }
	if err := json.Unmarshal(data, &settings); err != nil {
		return nil, fmt.Errorf("finding etcd: %w", err)
	}
	pki := filepath.Join(state, "pki", "etcd")
	reach := []string{
		fmt.Sprintf("--endpoints=https://127.0.0.1:%d", settings.Ports["etcd"]), "--cacert=" + filepath.Join(pki, "ca.crt"),
		"--cert=" + filepath.Join(pki, "healthcheck-client.crt"), "--key=" + filepath.Join(pki, "healthcheck-client.key"),
	}
	m := &backedUp{}
	for range min(costRuns, b.runs) {
		if err := m.once(ctx, b, filepath.Join(state, "bin", "etcdctl"), scratch, reach); err != nil {
			return nil, err
		}
	}
	m.whole, _, err = b.save(ctx, scratch, reach)
	return m, err
}

// once streams with each, in turn.
func (m *backedUp) once(ctx context.Context, b *bench, etcdctl, scratch string, reach []string) error {
	taken, backup, err := b.save(ctx, scratch, append(reach, "--depth=integrity"))
	if err != nil {
		return err
	}
	taken.wall = time.Duration(backup.Transfer.Seconds * float64(time.Second))
	m.bytes, m.ours = backup.Transfer.Bytes, append(m.ours, taken)
	file := filepath.Join(scratch, "snapshot.db")
	defer func() { _ = os.Remove(file) }()
	taken, _, err = run(ctx, b.kubeconfig, etcdctl, append([]string{"snapshot", "save", file, "--command-timeout=10m"}, reach...)...)
	m.theirs = append(m.theirs, taken)
	return err
}

// save runs backup-etcd into a directory that goes again.
func (b *bench) save(ctx context.Context, scratch string, flags []string) (sample, report.EtcdBackup, error) {
	dir, err := os.MkdirTemp(scratch, "backup-")
	if err != nil {
		return sample{}, report.EtcdBackup{}, fmt.Errorf("making a place for a backup: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	taken, out, err := run(ctx, b.kubeconfig, b.plugin, append([]string{"backup-etcd", "--to", dir, "--scratch", dir, "-o", "json"}, flags...)...)
	if err != nil {
		return sample{}, report.EtcdBackup{}, err
	}
	var backup report.EtcdBackup
	err = json.Unmarshal(out, &backup)
	return taken, backup, err
}

func (m *backedUp) rate(all samples) float64 { return float64(m.bytes) / all.wall().Seconds() }

func (m *backedUp) markdown() string {
	ratio := m.rate(m.ours) / m.rate(m.theirs)
	return "### backup-etcd\n\n" + fmt.Sprintf("A snapshot of %s, from the same endpoint in turn, median of %d.\n\n", megabytes(m.bytes), len(m.ours)) +
		table([]string{"", "wall", "a second", "CPU", "peak memory"}, [][]string{
			{"etcdctl snapshot save", seconds(m.theirs.wall()), megabytes(int64(m.rate(m.theirs))), seconds(m.theirs.cpu()), megabytes(m.theirs.memory())},
			{"backup-etcd, its stream", seconds(m.ours.wall()), megabytes(int64(m.rate(m.ours))), seconds(m.ours.cpu()), megabytes(m.ours.memory())},
			{"backup-etcd, whole run with the restore drill", seconds(m.whole.wall), "", seconds(m.whole.cpu), megabytes(m.whole.memory)},
		}) + "\n" +
		table([]string{"", "measured", "target", ""}, [][]string{
			{"backup-etcd's stream ÷ etcdctl's", fmt.Sprintf("%.2f", ratio), fmt.Sprintf("≥ %.1f", targetStream), verdict(ratio >= targetStream)},
		})
}
