package keep

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

var (
	now   = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	mine  = "3f2a9c1b-0000-4000-8000-000000000000"
	other = "aaaaaaaa-0000-4000-8000-000000000000"
)

func item(daysOld int, uid string, verdict report.Verdict) report.EtcdBackupItem {
	at := now.AddDate(0, 0, -daysOld)
	return report.EtcdBackupItem{Name: Name(uid, at), Time: metav1.NewTime(at), ClusterUID: uid, Verdict: verdict}
}

func TestPruningKeepsWhatItShould(t *testing.T) {
	proven, bad := report.Proven, report.Damaged
	lost := item(0, mine, proven)
	lost.Problem = "its snapshot is missing"
	for name, test := range map[string]struct {
		rule  Rule
		items []report.EtcdBackupItem // newest first
		only  string
		want  string // k or r for each
	}{
		"no rule removes nothing":                       {Rule{}, []report.EtcdBackupItem{item(0, mine, proven), item(900, mine, proven)}, "", "kk"},
		"the newest so many are kept, not the oldest":   {Rule{Last: 2}, []report.EtcdBackupItem{item(0, mine, proven), item(1, mine, proven), item(2, mine, proven), item(3, mine, proven)}, "", "kkrr"},
		"those that are young enough are kept":          {Rule{Within: 48 * time.Hour}, []report.EtcdBackupItem{item(0, mine, proven), item(2, mine, proven), item(3, mine, proven)}, "", "kkr"},
		"what either keeps is kept":                     {Rule{Last: 1, Within: 48 * time.Hour}, []report.EtcdBackupItem{item(0, mine, proven), item(1, mine, proven), item(5, mine, proven)}, "", "kkr"},
		"the last proven one is kept, however old":      {Rule{Within: time.Hour}, []report.EtcdBackupItem{item(1, mine, bad), item(400, mine, proven), item(401, mine, proven)}, "", "kkr"},
		"unproven ones do not count":                    {Rule{Last: 1}, []report.EtcdBackupItem{item(0, mine, bad), item(1, mine, bad), item(2, mine, proven), item(3, mine, proven)}, "", "kkkr"},
		"unproven ones behind the last that is kept go": {Rule{Last: 1}, []report.EtcdBackupItem{item(0, mine, proven), item(1, mine, bad)}, "", "kr"},
		"none is proven: none goes":                     {Rule{Last: 1}, []report.EtcdBackupItem{item(0, mine, bad), item(300, mine, bad)}, "", "kk"},
		"one whose snapshot is missing proves nothing":  {Rule{Last: 1}, []report.EtcdBackupItem{lost, item(1, mine, proven), item(2, mine, proven)}, "", "kkr"},
		"each cluster by itself":                        {Rule{Last: 1}, []report.EtcdBackupItem{item(0, mine, proven), item(1, other, proven), item(2, mine, proven), item(3, other, proven)}, "", "kkrr"},
		"another cluster's are left alone":              {Rule{Last: 1}, []report.EtcdBackupItem{item(0, mine, proven), item(1, other, proven), item(3, other, proven)}, mine, "kkk"},
		"without a manifest nobody knows whose it is":   {Rule{Last: 1}, []report.EtcdBackupItem{item(0, mine, proven), item(5, "", report.Unproven)}, mine, "kk"},
		"midnight is like any hour":                     {Rule{Last: 2}, []report.EtcdBackupItem{item(0, mine, proven), item(0, mine, proven), item(1, mine, proven)}, "", "kkr"},
	} {
		t.Run(name, func(t *testing.T) {
			test.rule.Decide(test.items, test.only, now)
			got := ""
			for _, item := range test.items {
				got += item.Fate[:1]
				if item.Why == "" {
					t.Errorf("%s: no reason", item.Name)
				}
			}
			if got != test.want {
				t.Errorf("fates %s, want %s: %+v", got, test.want, test.items)
			}
		})
	}
}

// put keeps a backup as the command does.
func put(t testing.TB, store Store, daysOld int, codec Codec, content []byte) *report.EtcdBackup {
	t.Helper()
	at := now.AddDate(0, 0, -daysOld)
	b := &report.EtcdBackup{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "EtcdBackup"},
		Time:     metav1.NewTime(at), Name: Name(mine, at) + codec.Ending(),
		Source: report.EtcdSource{ClusterUID: mine}, Proof: report.EtcdProof{Verdict: report.Proven, Depth: "restore"},
	}
	var stored bytes.Buffer
	err := store.Put(t.Context(), b.Name, func(w io.Writer) error {
		return codec.Encode(io.MultiWriter(w, &stored), bytes.NewReader(content))
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(stored.Bytes())
	b.Stored = report.StoredObject{Size: int64(stored.Len()), SHA256: hex.EncodeToString(sum[:])}
	if err := WriteManifest(t.Context(), store, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, destination string) Store {
	t.Helper()
	store, err := Open(t.Context(), destination)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func TestPruningRemovesSnapshotAndManifestAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	var names []string
	for day := range 4 {
		names = append(names, put(t, store, day, Codec{}, []byte("data")).Name)
	}
	foreign := filepath.Join(dir, "etcd-snapshot-of-somebody.db")
	if err := os.WriteFile(foreign, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := List(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	Rule{Last: 2}.Decide(list.Items, mine, now)
	removed, err := Remove(t.Context(), store, list.Items)
	if err != nil || !slices.Equal(removed, names[2:]) {
		t.Errorf("removed %v, %v", removed, err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 5 { // two with their manifests, and somebody's
		t.Errorf("left: %v", left)
	}
}

func TestAListTellsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	good, cut, gone := put(t, store, 0, Codec{}, []byte("data")), put(t, store, 1, Codec{}, []byte("data")), put(t, store, 2, Codec{}, []byte("data"))
	if err := errors.Join(
		os.Truncate(filepath.Join(dir, cut.Name), 2), os.Remove(filepath.Join(dir, gone.Name)),
		os.WriteFile(filepath.Join(dir, Name(mine, now)+".x"+Part), nil, 0o600),
		os.WriteFile(filepath.Join(dir, Name(other, now)), nil, 0o600),
		os.WriteFile(filepath.Join(dir, ManifestName(Name(other, now))), []byte("{"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	list, err := List(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	problems := map[string]string{}
	for _, item := range list.Items {
		problems[item.Name] = item.Problem
	}
	for name, want := range map[string]string{
		good.Name: "", cut.Name: "it has 2 bytes, and was written with 4", gone.Name: "its snapshot is missing",
		Name(mine, now) + ".x" + Part: "an upload that was never finished", Name(other, now): "its manifest cannot be read",
	} {
		if got, is := problems[name]; !is || got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestWhatFailsLeavesNothingUnderTheName(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	failure := errors.New("no more")
	if err := store.Put(t.Context(), "a.db", func(w io.Writer) error { _, _ = w.Write([]byte("half")); return failure }); !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Put(ended, "a.db", func(io.Writer) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func codecs(t testing.TB) map[string]struct {
	codec      Codec
	identities []age.Identity
} {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	scrypt, err := age.NewScryptRecipient("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	scrypt.SetWorkFactor(10) // quick
	phrase, err := age.NewScryptIdentity("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]struct {
		codec      Codec
		identities []age.Identity
	}{
		"compressed":                {Codec{Compress: true}, nil},
		"encrypted":                 {Codec{Recipients: []age.Recipient{key.Recipient()}}, []age.Identity{key}},
		"compressed and encrypted":  {Codec{Compress: true, Recipients: []age.Recipient{key.Recipient()}}, []age.Identity{key}},
		"encrypted by a passphrase": {Codec{Recipients: []age.Recipient{scrypt}}, []age.Identity{phrase}},
	}
}

func silent(int64, int64) {}

func fetch(t testing.TB, object string, identities []age.Identity) (content []byte, bad string, err error) {
	t.Helper()
	fetched, err := Fetch(t.Context(), object, t.TempDir(), identities, silent)
	if err != nil || fetched.Bad != "" {
		if fetched != nil {
			bad = fetched.Bad
		}
		return nil, bad, err
	}
	defer fetched.Close()
	content, err = os.ReadFile(fetched.Path)
	return content, "", err
}

func TestWhatIsKeptComesBackAsItWas(t *testing.T) {
	content := bytes.Repeat([]byte("an object of the cluster, "), 100_000)
	for name, test := range codecs(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := put(t, open(t, dir), 0, test.codec, content)
			got, bad, err := fetch(t, filepath.Join(dir, b.Name), test.identities)
			if err != nil || bad != "" || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %q, %v", len(got), bad, err)
			}
			raw, err := os.ReadFile(filepath.Join(dir, b.Name))
			if err != nil || bytes.Contains(raw, []byte("object of the cluster, an object")) {
				t.Errorf("it lies there plain (%v)", err)
			}
		})
	}
}

// TestEveryDamageToWhatIsStoredIsCaught also without a manifest: the end of a
// compressed or encrypted stream is known.
func TestEveryDamageToWhatIsStoredIsCaught(t *testing.T) {
	content := make([]byte, 300_000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	for name, test := range codecs(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := put(t, open(t, dir), 0, test.codec, content)
			path := filepath.Join(dir, b.Name)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, manifest := range []bool{true, false} {
				if !manifest {
					if err := os.Remove(filepath.Join(dir, ManifestName(b.Name))); err != nil {
						t.Fatal(err)
					}
				}
				for i := range 12 {
					damaged := bytes.Clone(raw)
					what := fmt.Sprintf("truncated (manifest %v)", manifest)
					if i%2 == 0 {
						damaged = damaged[:200+random.IntN(len(raw)-201)]
					} else {
						at := 200 + random.IntN(len(raw)-200)
						damaged[at] ^= 1
						what = fmt.Sprintf("flipped at %d of %d (manifest %v)", at, len(raw), manifest)
					}
					if err := os.WriteFile(path, damaged, 0o600); err != nil {
						t.Fatal(err)
					}
					if _, bad, err := fetch(t, path, test.identities); bad == "" || err != nil {
						t.Errorf("%s: not told as damaged: %q, %v", what, bad, err)
					}
				}
			}
		})
	}
}

func TestWithoutTheKeyNothingIsSaidOfTheBytes(t *testing.T) {
	dir := t.TempDir()
	all := codecs(t)
	b := put(t, open(t, dir), 0, all["encrypted"].codec, []byte("data"))
	path := filepath.Join(dir, b.Name)
	if _, _, err := fetch(t, path, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("without a key: %v", err)
	}
	stranger, _ := age.GenerateX25519Identity()
	if _, bad, err := fetch(t, path, []age.Identity{stranger}); err == nil || bad != "" {
		t.Errorf("with another key: %q, %v", bad, err)
	}
	if _, _, err := fetch(t, filepath.Join(dir, "none.db.zst"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestCredentialsAreNeverShown(t *testing.T) {
	for destination, want := range map[string]string{
		"s3://bucket/prefix?endpoint=https://minio&secret=abc": "s3://bucket/prefix",
		"s3://user:secret@bucket/prefix":                       "s3://bucket/prefix",
		"gs://bucket":                                          "gs://bucket",
		"azblob://box/a/b?sv=2020&sig=secret":                  "azblob://box/a/b",
		"/var/backups":                                         "/var/backups",
	} {
		if got := Redact(destination); got != want {
			t.Errorf("%s becomes %s", destination, got)
		}
	}
	_, err := Open(t.Context(), "s3://user:secret@bucket/prefix")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	_, err = Open(t.Context(), "s3://bucket?pasword=secret")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	_, err = Open(t.Context(), "s3://user:sec\x7fret@bucket")
	if err == nil || strings.Contains(err.Error(), "ret@") {
		t.Errorf("error %v", err)
	}
}

func TestAnAddressLeadsThereAgainWithoutASecret(t *testing.T) {
	for object, want := range map[string]string{
		"s3://bucket/p/a.db?endpoint=https://minio:9000&use_path_style=true&region=eu&secret=abc": "s3://bucket/p/a.db?endpoint=https://minio:9000&region=eu&use_path_style=true",
		"s3://bucket/a.db?endpoint=https://user:secret@minio":                                     "s3://bucket/a.db",
		"s3://user:secret@bucket/a.db?region=eu":                                                  "s3://bucket/a.db?region=eu",
		"s3://bucket/a.db?endpoint=https://minio/%26region%3Dx":                                   "s3://bucket/a.db?endpoint=https%3A%2F%2Fminio%2F%26region%3Dx",
		"azblob://box/a.db?domain=127.0.0.1:1&sig=secret":                                         "azblob://box/a.db?domain=127.0.0.1:1",
		"gs://bucket/a.db":   "gs://bucket/a.db",
		"/var/backups/a?.db": "/var/backups/a?.db",
	} {
		if got := Address(object); got != want {
			t.Errorf("%s becomes %s, want %s", object, got, want)
		}
	}
}

func TestAStoreThatIsAwayForAMomentIsWrittenToAnew(t *testing.T) {
	away := &told{text: "away", cause: errors.New("connection refused")}
	denied := &told{text: "denied", cause: errors.New("AccessDenied")}
	own := errors.New("the disk is full")
	for name, test := range map[string]struct {
		failures []error
		want     error
		calls    int
	}{
		"once":                      {[]error{away, nil}, nil, 2},
		"never for credentials":     {[]error{denied, nil}, denied, 1},
		"never for what we read":    {[]error{own, nil}, own, 1},
		"not for what is not there": {[]error{&told{text: "none", cause: fs.ErrNotExist}}, fs.ErrNotExist, 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			synctest.Test(t, func(t *testing.T) {
				err := steadily(t.Context(), func() error { calls++; return test.failures[calls-1] })
				if !errors.Is(err, test.want) || calls != test.calls {
					t.Errorf("error %v after %d calls", err, calls)
				}
			})
		})
	}
	t.Run("and not for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			if err := steadily(t.Context(), func() error { return away }); !errors.Is(err, away) || time.Since(began) != 30*time.Second {
				t.Errorf("error %v after %s", err, time.Since(began))
			}
		})
	})
}

func TestAnObjectIsItsDestinationAndItsName(t *testing.T) {
	for object, want := range map[string][2]string{
		"a.db": {".", "a.db"}, "./b/a.db": {"./b", "a.db"}, "/a.db": {"/", "a.db"},
		"s3://bucket/a.db":               {"s3://bucket", "a.db"},
		"s3://bucket/p/q/a.db?region=eu": {"s3://bucket/p/q?region=eu", "a.db"},
		"what?.db":                       {".", "what?.db"},
		"file:///var/backups/a.db":       {"file:///var/backups", "a.db"},
	} {
		if destination, name := Split(object); [2]string{destination, name} != want {
			t.Errorf("%s is %q, %q", object, destination, name)
		}
	}
}

// FuzzDamage changes what is stored, compressed and encrypted, where the fuzzer
// says: with and without a manifest it is either told or makes no difference to
// what comes out.
func FuzzDamage(f *testing.F) {
	content := make([]byte, 200_000)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range content {
		content[i] = byte(random.Uint32() % 16) // some of it compresses
	}
	type kept struct {
		name       string
		raw        []byte
		identities []age.Identity
	}
	var all []kept
	codecs := codecs(f)
	for _, name := range slices.Sorted(maps.Keys(codecs)) {
		dir := f.TempDir()
		b := put(f, open(f, dir), 0, codecs[name].codec, content)
		raw, err := os.ReadFile(filepath.Join(dir, b.Name))
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, kept{b.Name, raw, codecs[name].identities})
	}
	for kind := range byte(3) {
		for which := range byte(len(all)) {
			f.Add(which, kind, uint32(210), uint16(1), byte(1))
			f.Add(which, kind, uint32(70_000), uint16(100), byte(255))
		}
	}
	f.Fuzz(func(t *testing.T, which, kind byte, at uint32, length uint16, mask byte) {
		k := all[int(which)%len(all)]
		from := int(at) % len(k.raw)
		to := min(from+int(length), len(k.raw))
		damaged := bytes.Clone(k.raw)
		switch kind % 3 {
		case 0:
			for i := from; i < to; i++ {
				damaged[i] ^= mask
			}
		case 1:
			damaged = damaged[:from]
		default:
			damaged = slices.Delete(damaged, from, to)
		}
		path := filepath.Join(t.TempDir(), k.name)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		got, bad, err := fetch(t, path, k.identities)
		if err == nil && bad == "" && !bytes.Equal(got, content) {
			t.Errorf("%d bytes came out as if they were right", len(got))
		}
	})
}
