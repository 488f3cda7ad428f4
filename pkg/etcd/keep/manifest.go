package keep

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const (
	// manifestEnd is what a manifest's name has and its snapshot's has not.
	manifestEnd = ".manifest.json"
	// Unproven marks a snapshot that could not be proven.
	Unproven = ".unproven"
	prefix   = "etcd-"
	// manifestLimit is far more than any manifest has.
	manifestLimit = 16 << 20
)

// Name is what a backup is called: the cluster, by the beginning of its UID, and
// the time. Snapshots of several clusters can lie beside each other.
func Name(clusterUID string, at time.Time) string {
	return nameOf(clusterUID) + at.UTC().Format("20060102T150405Z") + Database
}

// nameOf is what the names of all backups of a cluster begin with.
func nameOf(clusterUID string) string {
	return prefix + cmp.Or(strings.Split(clusterUID, "-")[0], "unknown") + "-"
}

// ManifestName is where the manifest of a snapshot lies.
func ManifestName(snapshot string) string { return snapshot + manifestEnd }

// WriteManifest writes a backup's manifest beside it.
func WriteManifest(ctx context.Context, store Store, b *report.EtcdBackup) error {
	return store.Put(ctx, ManifestName(b.Name), func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(b)
	})
}

// ReadManifest reads the manifest of a snapshot; [fs.ErrNotExist] where none is.
func ReadManifest(ctx context.Context, store Store, snapshot string) (*report.EtcdBackup, error) {
	reader, err := store.Get(ctx, ManifestName(snapshot))
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }() // it was only read
	var b report.EtcdBackup
	if err := json.NewDecoder(io.LimitReader(reader, manifestLimit)).Decode(&b); err != nil {
		return nil, fmt.Errorf("%s is no manifest: %w", ManifestName(snapshot), err)
	}
	if b.APIVersion != report.GroupVersion().String() || b.Kind != "EtcdBackup" {
		return nil, fmt.Errorf("%s is a %s of %s, and no manifest that this version reads", ManifestName(snapshot), b.Kind, b.APIVersion)
	}
	return &b, nil
}

// List is what lies at a destination, newest first: the backups by their
// manifests, and what else is named like one.
func List(ctx context.Context, store Store) (*report.EtcdBackups, error) {
	objects, err := store.List(ctx)
	if err != nil {
		return nil, err
	}
	list := &report.EtcdBackups{
		TypeMeta:    metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "EtcdBackups"},
		Destination: store.String(), Items: []report.EtcdBackupItem{},
	}
	there := map[string]Object{}
	for _, o := range sorted(objects) {
		there[o.Name] = o
	}
	for _, o := range objects {
		if name, is := strings.CutSuffix(o.Name, manifestEnd); is && strings.HasPrefix(name, prefix) {
			item, err := itemOf(ctx, store, name, there)
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, item)
			continue
		}
		if item, is := without(o, there); is {
			list.Items = append(list.Items, item)
		}
	}
	slices.SortStableFunc(list.Items, func(a, b report.EtcdBackupItem) int {
		return cmp.Or(b.Time.Compare(a.Time.Time), cmp.Compare(a.Name, b.Name))
	})
	return list, nil
}

// itemOf is a backup with its manifest.
func itemOf(ctx context.Context, store Store, name string, there map[string]Object) (report.EtcdBackupItem, error) {
	b, err := ReadManifest(ctx, store, name)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, fs.ErrPermission) {
			return report.EtcdBackupItem{}, err
		}
		return report.EtcdBackupItem{Name: name, Verdict: report.Unproven, Problem: "its manifest cannot be read", Size: there[name].Size, Time: metav1.NewTime(there[name].Time)}, nil
	}
	item := report.EtcdBackupItem{
		Name: name, Time: b.Time, Verdict: b.Proof.Verdict, Depth: b.Proof.Depth, Size: b.Stored.Size,
		ClusterUID: b.Source.ClusterUID, Context: b.Source.Context, Version: b.Source.KubernetesVersion, Revision: b.Snapshot.Revision,
		Compression: b.Stored.Compression, Encryption: b.Stored.Encryption,
	}
	if b.Contents != nil {
		item.Objects = b.Contents.Objects
	}
	switch o, is := there[name]; {
	case !is:
		item.Problem = "its snapshot is missing"
	case o.Size != b.Stored.Size:
		item.Problem = fmt.Sprintf("it has %d bytes, and was written with %d", o.Size, b.Stored.Size)
	}
	return item, nil
}

// without is what is named like a snapshot and has no manifest.
func without(o Object, there map[string]Object) (report.EtcdBackupItem, bool) {
	if _, has := there[ManifestName(o.Name)]; has || !strings.HasPrefix(o.Name, prefix) || !strings.Contains(o.Name, Database) || strings.HasSuffix(o.Name, manifestEnd) {
		return report.EtcdBackupItem{}, false
	}
	item := report.EtcdBackupItem{Name: o.Name, Time: metav1.NewTime(o.Time), Size: o.Size, Verdict: report.Unproven, Problem: "no manifest lies beside it"}
	if strings.HasSuffix(o.Name, Part) {
		item.Problem = "an upload that was never finished"
	}
	return item, true
}

// Rule says what is kept. Neither keeps everything.
type Rule struct {
	// Last keeps the newest so many proven backups, Within those that are younger.
	Last   int
	Within time.Duration
}

// Decide gives each backup its fate, each cluster's by themselves; only narrows
// it to one cluster's, by its UID. What no manifest vouches for is kept:
// somebody else may need it. The newest proven one is kept whatever the rule
// says, and so is all that is newer than it: a young backup without a proof may
// be all there is of those hours.
func (r Rule) Decide(items []report.EtcdBackupItem, only string, now time.Time) {
	proven := map[string]int{}
	for i := range items { // newest first
		item := &items[i]
		if item.Verdict == report.Proven && item.Problem == "" {
			proven[item.ClusterUID]++
		}
		item.Fate = "keep"
		if keepFor := r.reason(*item, only, proven[item.ClusterUID], now); keepFor != "" {
			item.Why = keepFor
		} else {
			item.Fate, item.Why = "remove", "beyond the rule"
		}
	}
}

// reason says why a backup is kept; "" when it is not. proven counts its
// cluster's proven ones down to it.
func (r Rule) reason(item report.EtcdBackupItem, only string, proven int, now time.Time) string {
	sound := item.Verdict == report.Proven && item.Problem == ""
	age := now.Sub(item.Time.Time)
	switch {
	case r == Rule{}:
		return "no rule was given"
	case strings.HasSuffix(item.Name, Part):
		if age > 24*time.Hour && only != "" && strings.HasPrefix(item.Name, nameOf(only)) {
			return ""
		}
		return "may be under way"
	case item.ClusterUID == "":
		return "no manifest says whose it is"
	case only != "" && item.ClusterUID != only:
		return "of another cluster"
	case proven == 0:
		return "newer than the last proven one"
	case sound && proven == 1:
		return "the last proven one"
	case sound && proven <= r.Last:
		return fmt.Sprintf("proven, number %d of %d", proven, r.Last)
	case !sound && proven < r.Last:
		return "between proven ones that are kept"
	case r.Within > 0 && age <= r.Within:
		return "young enough"
	default:
		return ""
	}
}

// Remove removes what has that fate, the snapshot before its manifest: should it
// stop in between, the next run sees what is left.
func Remove(ctx context.Context, store Store, items []report.EtcdBackupItem) (removed []string, err error) {
	for _, item := range items {
		if item.Fate != "remove" {
			continue
		}
		for _, name := range []string{item.Name, ManifestName(item.Name)} {
			if err := store.Delete(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return removed, err
			}
		}
		removed = append(removed, item.Name)
	}
	return removed, nil
}
