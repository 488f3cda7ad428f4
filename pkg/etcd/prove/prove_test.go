package prove

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

const childEnv = "PROVE_TEST_CHILD"

// TestMain makes the test binary its own child, as the plugin is.
func TestMain(m *testing.M) {
	if ask := os.Getenv(childEnv); ask != "" {
		if err := Child(context.Background(), ask, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func prover(t testing.TB) Prover {
	t.Helper()
	return Prover{Scratch: t.TempDir(), Child: func(ctx context.Context, request string) (*exec.Cmd, error) {
		command := exec.CommandContext(ctx, os.Args[0])
		command.Env = append(os.Environ(), childEnv+"="+request)
		return command, nil
	}}
}

// clusterData is what a small Kubernetes keeps in etcd.
func clusterData(t testing.TB) map[string][]byte {
	t.Helper()
	encode := func(object runtime.Object) []byte {
		encoder := scheme.Codecs.EncoderForVersion(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), corev1.SchemeGroupVersion)
		data, err := runtime.Encode(encoder, object)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	data := map[string][]byte{
		"/registry/namespaces/kube-system":                                 encode(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "3f2a9c1b-0000-4000-8000-000000000000"}}),
		"/registry/secrets/shop/token":                                     []byte("k8s:enc:aescbc:v1:key1:\x01\x02\x03"),
		"/registry/secrets/shop/other":                                     []byte("k8s:enc:kms:v2:vault:\x01\x02\x03"),
		"/registry/services/specs/shop/web":                                encode(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}}),
		"/registry/services/endpoints/shop/web":                            encode(&corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "web"}}), //nolint:staticcheck // clusters hold them
		"/registry/example.com/widgets/shop/one":                           []byte(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"one"}}`),
		"/registry/apiextensions.k8s.io/customresourcedefinitions/widgets": []byte(`{"kind":"CustomResourceDefinition"}`),
	}
	for i := range 40 {
		name := fmt.Sprintf("pod-%02d", i)
		data["/registry/pods/shop/"+name] = encode(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"long": strings.Repeat("x", 3000)}}})
	}
	return data
}

// snapshotOf is a snapshot that a real etcd with this data sends.
func snapshotOf(t testing.TB, data map[string][]byte) []byte {
	t.Helper()
	t.Chdir(t.TempDir()) // the server's sockets
	server, err := start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client := v3client.New(server.Server)
	defer func() { _ = client.Close() }() // it was only read
	for key, value := range data {
		if _, err := client.Put(t.Context(), key, string(value)); err != nil {
			t.Fatal(err)
		}
	}
	remote, err := clientv3.New(clientv3.Config{Endpoints: []string{drillClient}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = remote.Close() }() // it was only read
	stream, err := remote.SnapshotWithVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	if _, err := all.ReadFrom(stream.Snapshot); err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

// signed replaces the checksum at the end by the right one, as a forger would.
func signed(file []byte) []byte {
	database := file[:len(file)-sha256.Size]
	sum := sha256.Sum256(database)
	return append(bytes.Clone(database), sum[:]...)
}

func judge(t testing.TB, file []byte, depth Depth) *report.EtcdVerification {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := prover(t).File(t.Context(), path, depth, Expected{})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestASoundSnapshotIsProvenInEachDepth(t *testing.T) {
	file := snapshotOf(t, clusterData(t))
	for _, depth := range Depths() {
		t.Run(string(depth), func(t *testing.T) {
			v := judge(t, file, depth)
			if v.Proof.Verdict != report.Proven || v.Proof.Reason != "" {
				t.Errorf("verdict %q: %s %+v", v.Proof.Verdict, v.Proof.Reason, v.Proof.Checks)
			}
		})
	}
	consistent, restored := judge(t, file, Consistency), judge(t, file, Restore)
	if consistent.Snapshot != restored.Snapshot || restored.Snapshot.HashKV == 0 || restored.Snapshot.Revision != 48 || restored.Snapshot.Keys != 47 {
		t.Errorf("the depths do not agree, or are wrong: %+v, %+v", consistent.Snapshot, restored.Snapshot)
	}
	c := restored.Contents
	got, _ := json.Marshal(c)
	want := `{"clusterUID":"3f2a9c1b-0000-4000-8000-000000000000","prefix":"/registry","objects":47,"decoded":25,"resources":[` +
		`{"resource":"apiextensions.k8s.io/customresourcedefinitions","count":1},{"resource":"example.com/widgets","count":1},{"resource":"namespaces","count":1},` +
		`{"resource":"pods","count":40},{"resource":"secrets","count":2},{"resource":"services/endpoints","count":1},{"resource":"services/specs","count":1}],` +
		`"encrypted":[{"provider":"aescbc","key":"key1","objects":1},{"provider":"kms","key":"vault","objects":1}]}`
	if string(got) != want {
		t.Errorf("contents are\n%s\nwant\n%s", got, want)
	}
}

func TestEachKindOfBadFileHasItsOwnVerdict(t *testing.T) {
	file := snapshotOf(t, clusterData(t))
	other := snapshotOf(t, map[string][]byte{"/app/settings": []byte("x"), "/registry/pods/a/b": []byte("y")})
	var gzipped bytes.Buffer
	writer := gzip.NewWriter(&gzipped)
	_, _ = writer.Write(file)
	_ = writer.Close()
	flipped := bytes.Clone(file)
	flipped[bytes.Index(file, []byte("xxxxxxxx"))] ^= 1
	brokenPage := bytes.Clone(file)
	for page := 2 * 4096; page < 20*4096; page += 4096 { // page types that bbolt does not know
		copy(brokenPage[page:page+16], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	}
	undecodable := map[string][]byte{"/registry/pods/shop/broken": []byte("k8s\x00garbage")}
	maps.Copy(undecodable, clusterData(t))
	for name, test := range map[string]struct {
		file    []byte
		verdict report.Verdict
		reason  string
	}{
		"an empty file":                             {nil, report.Empty, "the file is empty"},
		"a file of zeros":                           {make([]byte, 8192), report.Empty, "all 8192 bytes are zero"},
		"somebody's gzip":                           {gzipped.Bytes(), report.NotASnapshot, "gzip"},
		"a text":                                    {bytes.Repeat([]byte("hello "), 9000), report.NotASnapshot, "no header of a bbolt database"},
		"a flipped byte in a value":                 {flipped, report.Damaged, "sha256 of the database is"},
		"a flipped byte in the checksum":            {append(bytes.Clone(file[:len(file)-1]), file[len(file)-1]^1), report.Damaged, "sha256"},
		"a file cut to half":                        {file[:len(file)/2], report.Truncated, "it ends after"},
		"a file cut to some bytes":                  {file[:100], report.Truncated, "it ends after 100"},
		"a file without its last byte":              {file[:len(file)-1], report.Truncated, "is not that of whole sectors"},
		"a file without its checksum":               {file[:len(file)-32], report.Unproven, "no checksum at its end"},
		"more behind its end":                       {append(bytes.Clone(file), "more"...), report.Truncated, "is not that of whole sectors"},
		"a file cut to half with a checksum for it": {signed(file[:len(file)/2/512*512+32]), report.Truncated, "it ends after"},
		"pages overwritten with a checksum for it":  {signed(brokenPage), report.Inconsistent, ""},
		"a snapshot of another program's etcd":      {other, report.NotKubernetes, "2 keys, and none of them is a Kubernetes namespace"},
		"an object that is no object":               {snapshotOf(t, undecodable), report.Inconsistent, "1 of 25 sampled objects cannot be decoded, the first pods/shop/broken"},
	} {
		t.Run(name, func(t *testing.T) {
			v := judge(t, test.file, Restore)
			if v.Proof.Verdict != test.verdict || !strings.Contains(v.Proof.Reason, test.reason) {
				t.Errorf("verdict %q: %s\n%+v", v.Proof.Verdict, v.Proof.Reason, v.Proof.Checks)
			}
		})
	}
}

func TestAManifestTellsAFileThatWasExchanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot.db")
	if err := os.WriteFile(path, snapshotOf(t, clusterData(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := prover(t).File(t.Context(), path, Integrity, Expected{SHA256: strings.Repeat("ab", 32)})
	if err != nil || v.Proof.Verdict != report.Damaged {
		t.Errorf("verdict %q, %v", v.Proof.Verdict, err)
	}
}

func TestWhatKeepsItFromLookingIsNoVerdict(t *testing.T) {
	p := prover(t)
	if _, err := p.File(t.Context(), filepath.Join(t.TempDir(), "none"), Restore, Expected{}); err == nil {
		t.Error("no error for a file that is not there")
	}
	if _, err := p.File(t.Context(), t.TempDir(), Restore, Expected{}); err == nil {
		t.Error("no error for a directory")
	}
}

// TestEveryRandomDamageIsCaught flips, cuts and truncates at random. The seed is
// told, so that a failure can be repeated.
func TestEveryRandomDamageIsCaught(t *testing.T) {
	file := snapshotOf(t, clusterData(t))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	at := func() int { return random.IntN(len(file)) }
	for i := range 300 {
		damaged := bytes.Clone(file)
		what := ""
		switch i % 3 {
		case 0:
			offset, bit := at(), byte(1)<<random.IntN(8)
			damaged[offset] ^= bit
			what = fmt.Sprintf("bit %08b of byte %d flipped", bit, offset)
		case 1:
			cut := at()
			damaged = damaged[:cut]
			what = fmt.Sprintf("truncated to %d", cut)
		default:
			from := at()
			to := min(from+1+random.IntN(5000), len(file))
			damaged = slices.Delete(damaged, from, to)
			what = fmt.Sprintf("bytes %d to %d cut out", from, to)
		}
		if v := judge(t, damaged, Integrity); v.Proof.Verdict == report.Proven {
			t.Errorf("%s: proven", what)
		}
	}
}

// TestDamageUnderARightChecksumKillsTheChildAtMost: where the checksum was made
// anew, only the database itself can tell.
func TestDamageUnderARightChecksumKillsTheChildAtMost(t *testing.T) {
	file := snapshotOf(t, clusterData(t))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	verdicts := map[report.Verdict]int{}
	for range 30 {
		damaged := bytes.Clone(file)
		page := random.IntN(len(file)/4096) * 4096 // a page's header, where it hurts
		for range 4 {
			damaged[page+random.IntN(16)] ^= byte(1 + random.IntN(255))
		}
		verdicts[judge(t, signed(damaged), Consistency).Proof.Verdict]++
	}
	t.Logf("verdicts: %v", verdicts)
	if verdicts[report.Inconsistent] == 0 {
		t.Error("no damage was noticed")
	}
}

// FuzzDamage flips, truncates and cuts where the fuzzer says: only the file as it
// was is ever proven. With a checksum made anew nothing but the database itself
// can tell, and then no verdict is asked for but that there is one.
func FuzzDamage(f *testing.F) {
	file := snapshotOf(f, clusterData(f))
	for kind := range byte(4) {
		f.Add(kind, uint32(0), uint16(1), byte(1))
		f.Add(kind, uint32(4096+8), uint16(600), byte(255))
		f.Add(kind, uint32(len(file)-33), uint16(64), byte(128))
	}
	f.Fuzz(func(t *testing.T, kind byte, at uint32, length uint16, mask byte) {
		from := int(at) % len(file)
		to := min(from+int(length), len(file))
		damaged := bytes.Clone(file)
		depth := Integrity
		switch kind % 4 {
		case 0:
			for i := from; i < to; i++ {
				damaged[i] ^= mask
			}
		case 1:
			damaged = damaged[:from]
		case 2:
			damaged = slices.Delete(damaged, from, to)
		default:
			for i := from; i < to; i++ {
				damaged[i] ^= mask
			}
			damaged, depth = signed(damaged), Consistency
		}
		v := judge(t, damaged, depth)
		if v.Proof.Verdict == "" || depth == Integrity && v.Proof.Verdict == report.Proven && !bytes.Equal(damaged, file) {
			t.Errorf("verdict %q: %s", v.Proof.Verdict, v.Proof.Reason)
		}
	})
}
