//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// objectStore is a real server of a provider's protocol, on this machine.
type objectStore struct {
	// bucket is the URL's part before the parameters, without a prefix.
	scheme, bucket, parameters string
	// env are good credentials; badly are wrong ones.
	env, badly []string
	// file is where an object lies on this machine's disk; nil where it lies in
	// no file of its own.
	file func(name string) string

	command func() *exec.Cmd
	running *exec.Cmd
	address string
}

func (s *objectStore) url(name string) string { return s.at(s.bucket, name) }

func (s *objectStore) at(bucket, name string) string {
	return strings.TrimSuffix(s.scheme+"://"+bucket+"/prod/"+name, "/") + s.parameters
}

// start runs the server and waits until it listens.
func (s *objectStore) start(t *testing.T) {
	t.Helper()
	s.running = s.command()
	var said bytes.Buffer
	s.running.Stdout, s.running.Stderr = &said, &said
	if err := s.running.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() error {
		connection, err := net.Dial("tcp", s.address)
		if err != nil {
			return fmt.Errorf("%w: %s", err, said.String())
		}
		return connection.Close()
	})
}

// kill ends the server as a power cut does.
func (s *objectStore) kill() {
	_ = s.running.Process.Kill()
	_ = s.running.Wait() // it was killed
}

// storePrograms builds the servers of test/stores, into the cache that the
// cluster's programs are in too.
func storePrograms(t *testing.T) string {
	t.Helper()
	module := filepath.Join(root, "test", "stores")
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(text)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "kubectl-prod", "bin", "stores-"+hex.EncodeToString(sum.Sum(nil))[:12])
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		part := dir + ".part"
		mustRun(t, []string{"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off"}, "go", "build", "-C", module, "-trimpath", "-ldflags", "-s -w",
			"-o", part+"/", "github.com/versity/versitygw/cmd/versitygw", "github.com/fsouza/fake-gcs-server")
		if err := os.Rename(part, dir); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// amazon is versitygw: S3 over a directory.
func amazon(t *testing.T, programs string) *objectStore {
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "backups"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &objectStore{
		scheme: "s3", bucket: "backups", address: freeAddress(t),
		env:   []string{"AWS_ACCESS_KEY_ID=prod", "AWS_SECRET_ACCESS_KEY=open-sesame", "AWS_EC2_METADATA_DISABLED=true"},
		badly: []string{"AWS_SECRET_ACCESS_KEY=open-barley"},
		file:  func(name string) string { return filepath.Join(data, "backups", "prod", name) },
	}
	s.parameters = "?endpoint=http://" + s.address + "&region=us-east-1&use_path_style=true"
	s.command = func() *exec.Cmd {
		return exec.Command(filepath.Join(programs, "versitygw"), "--access", "prod", "--secret", "open-sesame", "--port", s.address, "posix", data)
	}
	return s
}

// google is fake-gcs-server, which takes any credentials.
func google(t *testing.T, programs string) *objectStore {
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "backups"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &objectStore{
		scheme: "gs", bucket: "backups", address: freeAddress(t),
		file: func(name string) string { return filepath.Join(data, "backups", "prod", name) },
	}
	s.env = []string{"STORAGE_EMULATOR_HOST=" + s.address}
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.command = func() *exec.Cmd {
		return exec.Command(filepath.Join(programs, "fake-gcs-server"), "-scheme", "http", "-host", host, "-port", port,
			"-backend", "filesystem", "-filesystem-root", data, "-public-host", s.address)
	}
	return s
}

// azureKey is the one that Microsoft publishes for its emulator.
const azureKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

// azure is Azurite, Microsoft's own emulator, which npm brings.
func azure(t *testing.T) *objectStore {
	npm, err := exec.LookPath("npm")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("Azure's emulator needs npm, and CI must have it")
		}
		t.Skip("Azure's emulator needs npm")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(root, "test", "stores", "azurite", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "kubectl-prod", "bin", "azurite-"+hex.EncodeToString(sum[:])[:12])
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		part := dir + ".part"
		if err := errors.Join(os.RemoveAll(part), os.CopyFS(part, os.DirFS(filepath.Join(root, "test", "stores", "azurite")))); err != nil {
			t.Fatal(err)
		}
		mustRun(t, nil, npm, "ci", "--prefix", part, "--no-audit", "--no-fund", "--ignore-scripts")
		if err := os.Rename(part, dir); err != nil {
			t.Fatal(err)
		}
	}
	data := t.TempDir()
	s := &objectStore{
		scheme: "azblob", bucket: "backups", address: freeAddress(t),
		env:   []string{"AZURE_STORAGE_ACCOUNT=devstoreaccount1", "AZURE_STORAGE_KEY=" + azureKey},
		badly: []string{"AZURE_STORAGE_KEY=b3BlbiBiYXJsZXk="},
	}
	s.parameters = "?domain=" + s.address + "&protocol=http"
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.command = func() *exec.Cmd {
		return exec.Command(filepath.Join(dir, "node_modules", ".bin", "azurite-blob"), "--blobHost", host, "--blobPort", port, "--skipApiVersionCheck", "--silent", "--location", data)
	}
	return s
}

// container makes the bucket in Azurite, which knows no directories.
func (s *objectStore) container(t *testing.T) {
	t.Helper()
	credential, err := azblob.NewSharedKeyCredential("devstoreaccount1", azureKey)
	if err != nil {
		t.Fatal(err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential("http://"+s.address+"/devstoreaccount1", credential, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() error {
		_, err := client.CreateContainer(t.Context(), s.bucket, nil)
		return err
	})
}

// backupsInStores takes, lists, proves, fetches and prunes backups in real object
// stores, and breaks them.
func backupsInStores(t *testing.T, c *testCluster) {
	c.fill(t, 40) // two parts and more
	programs := storePrograms(t)
	t.Run("S3", func(t *testing.T) {
		t.Parallel()
		s := amazon(t, programs)
		s.start(t)
		t.Cleanup(s.kill)
		c.inStore(t, s)
		c.storeBreaks(t, s)
	})
	t.Run("GCS", func(t *testing.T) {
		t.Parallel()
		s := google(t, programs)
		s.start(t)
		t.Cleanup(s.kill)
		c.inStore(t, s)
	})
	t.Run("Azure", func(t *testing.T) {
		t.Parallel()
		s := azure(t)
		s.start(t)
		t.Cleanup(s.kill)
		s.container(t)
		c.inStore(t, s)
	})
}

// fill writes so many MiB into etcd, random and outside what Kubernetes keeps.
func (c *testCluster) fill(t *testing.T, mebibytes int) {
	t.Helper()
	client := c.etcdClient(t)
	defer func() { _ = client.Close() }()
	value := make([]byte, 1<<20)
	for i := range mebibytes {
		_, _ = rand.Read(value) // it never fails
		if _, err := client.Put(within(t, 30*time.Second), fmt.Sprintf("/ballast/%05d", i), string(value)); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *testCluster) etcdClient(t *testing.T) *clientv3.Client {
	t.Helper()
	pki := filepath.Join(filepath.Dir(c.kubeconfig), "pki", "etcd")
	info := transport.TLSInfo{
		TrustedCAFile: filepath.Join(pki, "ca.crt"), CertFile: filepath.Join(pki, "healthcheck-client.crt"), KeyFile: filepath.Join(pki, "healthcheck-client.key"),
	}
	tls, err := info.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{fmt.Sprintf("https://127.0.0.1:%d", c.etcdPort(t))}, TLS: tls})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// prod is `kubectl prod backup-etcd` with a store's credentials.
func (c *testCluster) prod(t *testing.T, s *objectStore, more []string, args ...string) result {
	t.Helper()
	return c.kubectl(t, append(append([]string{}, s.env...), more...), append([]string{"prod", "backup-etcd"}, args...)...)
}

// takeTo is a backup that has to be proven.
func (c *testCluster) takeTo(t *testing.T, s *objectStore, to string, flags ...string) *report.EtcdBackup {
	t.Helper()
	r := c.prod(t, s, nil, append(append([]string{"--to", to, "-o", "json"}, c.etcdFlags(t, "")...), flags...)...)
	var b report.EtcdBackup
	if err := json.Unmarshal([]byte(r.stdout), &b); r.code != 0 || err != nil || b.Proof.Verdict != report.Proven {
		t.Fatalf("exit code %d, %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	return &b
}

func (c *testCluster) listed(t *testing.T, s *objectStore) []report.EtcdBackupItem {
	t.Helper()
	r := c.prod(t, s, nil, "list", s.url(""), "-o", "json")
	var list report.EtcdBackups
	if err := json.Unmarshal([]byte(r.stdout), &list); r.code != 0 || err != nil {
		t.Fatalf("exit code %d, %v: %s%s", r.code, err, r.stdout, r.stderr)
	}
	return list.Items
}

// inStore is a backup's life in a store.
func (c *testCluster) inStore(t *testing.T, s *objectStore) {
	first := c.takeTo(t, s, s.url(""), "--compress")
	secret := filepath.Join(t.TempDir(), "passphrase")
	writeFile(t, secret, "correct horse\n")
	second := c.takeTo(t, s, s.url(""), "--compress", "--passphrase-file", secret)

	t.Run("list", func(t *testing.T) {
		items := c.listed(t, s)
		if len(items) != 2 || items[0].Name != second.Name || items[1].Name != first.Name || items[0].Problem+items[1].Problem != "" {
			t.Errorf("%+v", items)
		}
		t.Logf("list\n%s", c.prod(t, s, nil, "list", s.url("")).stdout)
	})
	t.Run("verify", func(t *testing.T) {
		r := c.prod(t, s, nil, "verify", s.url(second.Name), "--passphrase-file", secret)
		if r.code != 0 || !strings.Contains(r.stdout, "proven by a restore") {
			t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
	})
	t.Run("restore-plan leads back to the store", func(t *testing.T) {
		r := c.prod(t, s, nil, "restore-plan", s.url(first.Name), "-o", "json")
		var plan report.RestorePlan
		if err := json.Unmarshal([]byte(r.stdout), &plan); r.code != 0 || err != nil {
			t.Fatalf("exit code %d, %v: %s", r.code, err, r.stderr)
		}
		// Its first line, as it is printed, by a shell.
		script := exec.Command("sh", "-c", plan.Steps[0].Commands[0])
		script.Dir = t.TempDir()
		script.Env = append(append(os.Environ(), "PATH="+c.path), s.env...)
		if said, err := script.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", plan.Steps[0].Commands[0], err, said)
		}
		data, err := os.ReadFile(filepath.Join(script.Dir, "to-restore.db"))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != first.Snapshot.SHA256 {
			t.Error("what was fetched is another snapshot")
		}
	})
	t.Run("prune", func(t *testing.T) {
		r := c.prod(t, s, nil, "prune", s.url(""), "--keep", "1", "--dry-run")
		if r.code != 0 || len(c.listed(t, s)) != 2 {
			t.Errorf("dry run: exit code %d: %s", r.code, r.stderr)
		}
		r = c.prod(t, s, nil, "prune", s.url(""), "--keep", "1", "--yes")
		if items := c.listed(t, s); r.code != 0 || len(items) != 1 || items[0].Name != second.Name {
			t.Errorf("exit code %d, left %+v: %s", r.code, items, r.stderr)
		}
		if third := c.takeTo(t, s, s.url(""), "--keep", "1"); len(third.Pruned) != 1 || third.Pruned[0] != second.Name {
			t.Errorf("pruned %v", third.Pruned)
		}
	})
	t.Run("what is wrong is one line", func(t *testing.T) { c.badStores(t, s) })
	if s.file != nil {
		t.Run("a byte that changes in the store is told", func(t *testing.T) { c.rot(t, s) })
	}
}

// badStores are places and people that a store does not know.
func (c *testCluster) badStores(t *testing.T, s *objectStore) {
	away := &objectStore{scheme: s.scheme, bucket: s.bucket, parameters: strings.ReplaceAll(s.parameters, s.address, "127.0.0.1:1"), env: s.env}
	if s.scheme == "gs" {
		away.env = []string{"STORAGE_EMULATOR_HOST=127.0.0.1:1"}
	}
	for name, test := range map[string]struct {
		store *objectStore
		more  []string
		to    string
		want  string
	}{
		"a bucket that is not there": {s, nil, s.at("nothing", ""), "there is no such bucket"},
		"wrong credentials":          {s, s.badly, s.url(""), "the store does not accept the credentials"},
		"a store that is away":       {away, nil, away.url(""), "the store is not reached: dial tcp 127.0.0.1:1: connect: connection refused"},
		"an unknown parameter":       {s, nil, s.scheme + "://backups?sesame=open", `unknown query parameter "sesame"`},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "wrong") && s.badly == nil {
				return // its server takes any
			}
			if strings.HasPrefix(name, "an unknown") && s.scheme == "gs" {
				return // its library says so of none
			}
			r := c.prod(t, test.store, test.more, append([]string{"--to", test.to}, c.etcdFlags(t, "")...)...)
			if r.code != 2 || !strings.Contains(r.stderr, test.want) || strings.Count(r.stderr, "\n") != 1 || r.stdout != "" || strings.Contains(r.stderr, "sesame=open") {
				t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			t.Logf("%s", r.stderr)
		})
	}
}

// rot changes a byte where the store keeps it.
func (c *testCluster) rot(t *testing.T, s *objectStore) {
	name := c.listed(t, s)[0].Name
	data, err := os.ReadFile(s.file(name))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(s.file(name), data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := c.prod(t, s, nil, "verify", s.url(name))
	if r.code == 0 || !strings.Contains(r.stdout+r.stderr, "damaged") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

// storeBreaks ends the store, and the way to it, in the middle of an upload.
func (c *testCluster) storeBreaks(t *testing.T, s *objectStore) {
	through := func(w *way) string { return strings.ReplaceAll(s.url(""), s.address, w.address) }
	t.Run("connections that break during the upload are made anew", func(t *testing.T) {
		w := newWay(t, s.address)
		var cuts atomic.Int64
		w.onUpload = func(bytes int64) {
			if n := cuts.Load(); n < 3 && bytes > (n+1)*8<<20 && cuts.CompareAndSwap(n, n+1) {
				w.cut()
			}
		}
		b := c.takeTo(t, s, through(w))
		if cuts.Load() != 3 {
			t.Errorf("%d connections were cut", cuts.Load())
		}
		c.verifiedIn(t, s, b.Name)
	})
	t.Run("a store that is killed during the upload and comes back gets it whole", func(t *testing.T) {
		w := newWay(t, s.address)
		var once sync.Once
		w.onUpload = func(bytes int64) {
			if bytes > 12<<20 {
				once.Do(func() {
					s.kill()
					time.AfterFunc(5*time.Second, func() { s.start(t) })
				})
			}
		}
		b := c.takeTo(t, s, through(w))
		c.verifiedIn(t, s, b.Name)
	})
	t.Run("an interrupted upload leaves nothing", func(t *testing.T) {
		before := len(c.listed(t, s))
		w := newWay(t, s.address)
		began := make(chan bool)
		var once sync.Once
		w.onUpload = func(bytes int64) {
			if bytes > 12<<20 {
				once.Do(func() { close(began) })
				time.Sleep(20 * time.Millisecond) // a slow line
			}
		}
		command := exec.CommandContext(t.Context(), c.lookUp(t, "kubectl-prod"), append([]string{"backup-etcd", "--to", through(w)}, c.etcdFlags(t, "")...)...)
		command.Env = append(append(os.Environ(), "KUBECONFIG="+c.kubeconfig), s.env...)
		var said bytes.Buffer
		command.Stderr = &said
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		<-began
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait() // its exit code tells
		if code := command.ProcessState.ExitCode(); code != 130 || !strings.Contains(said.String(), "interrupted") {
			t.Errorf("exit code %d: %s", code, said.String())
		}
		if after := len(c.listed(t, s)); after != before {
			t.Errorf("%d backups became %d", before, after)
		}
	})
}

func (c *testCluster) verifiedIn(t *testing.T, s *objectStore, name string) {
	t.Helper()
	if r := c.prod(t, s, nil, "verify", s.url(name), "--depth", "integrity"); r.code != 0 {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}
