// Package record is what backup-etcd leaves in the cluster after a success, so
// that doctor sees it: a ConfigMap whose annotations hold times, sizes and
// places, and no secret.
package record

import (
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Where the record is.
const (
	Namespace = "kube-system"
	Name      = "kubectl-prod-etcd-backup"
)

// The annotations of the record.
const (
	// LastBackup is when the last backup was taken, and LastVerified when one was
	// last restored and read (RFC 3339).
	LastBackup   = "prod.kubectl.io/last-backup"
	LastVerified = "prod.kubectl.io/last-verified"
	// KeysKept is where the keys of data encrypted at rest are kept. Its owner
	// writes it by hand; backup-etcd never does.
	KeysKept = "prod.kubectl.io/keys-kept"
	// Revision, Destination (without credentials), Object and Proof are of the
	// last backup.
	Revision    = "prod.kubectl.io/revision"
	Destination = "prod.kubectl.io/destination"
	Object      = "prod.kubectl.io/snapshot"
	Proof       = "prod.kubectl.io/proof"
	// DBSize, DBInUse and Quota are of the member that was asked, in bytes, at
	// the time of LastBackup; Quota is absent when unknown.
	DBSize  = "prod.kubectl.io/etcd-db-size"
	DBInUse = "prod.kubectl.io/etcd-db-in-use"
	Quota   = "prod.kubectl.io/etcd-quota"
	// Alarms are etcd's, with commas between; empty for none.
	Alarms = "prod.kubectl.io/etcd-alarms"
)

// Annotations are what a backup writes. A nil value removes what an earlier one
// wrote.
func Annotations(b *report.EtcdBackup) map[string]*string {
	text := func(s string) *string { return &s }
	bytes := func(n int64) *string {
		if n <= 0 {
			return nil
		}
		return text(strconv.FormatInt(n, 10))
	}
	at := b.Time.UTC().Format(time.RFC3339)
	all := map[string]*string{
		LastBackup: text(at), Revision: text(strconv.FormatInt(b.Snapshot.Revision, 10)),
		Destination: text(b.Destination), Object: text(b.Name), Proof: text(b.Proof.Depth),
		DBSize: bytes(b.Source.DBSize), DBInUse: bytes(b.Source.DBInUse), Quota: bytes(b.Source.Quota),
		Alarms: text(strings.Join(b.Source.Alarms, ",")),
	}
	if b.Proof.Verdict == report.Proven && b.Proof.Depth == "restore" {
		all[LastVerified] = text(b.Proof.Time.UTC().Format(time.RFC3339))
	}
	return all
}
