//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// etcdFlags are the flags that reach a cluster's etcd with its own certificates.
func (c *testCluster) etcdFlags(t *testing.T, endpoint string) []string {
	t.Helper()
	state := filepath.Dir(c.kubeconfig)
	if endpoint == "" {
		endpoint = fmt.Sprintf("https://127.0.0.1:%d", c.etcdPort(t))
	}
	pki := filepath.Join(state, "pki", "etcd")
	return []string{
		"--endpoints=" + endpoint, "--cacert=" + filepath.Join(pki, "ca.crt"),
		"--cert=" + filepath.Join(pki, "healthcheck-client.crt"), "--key=" + filepath.Join(pki, "healthcheck-client.key"),
	}
}

func (c *testCluster) etcdPort(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(filepath.Dir(c.kubeconfig), "settings.json"))
	if err != nil {
		t.Fatal(err)
	}
	var settings struct{ Ports map[string]int }
	if err := json.Unmarshal(data, &settings); err != nil {
		t.Fatal(err)
	}
	return settings.Ports["etcd"]
}

// backup takes one that has to be proven.
func (c *testCluster) backup(t *testing.T, dir string, flags ...string) *report.EtcdBackup {
	t.Helper()
	r := c.kubectl(t, nil, append([]string{"prod", "backup-etcd", "--to", dir, "-o", "json"}, flags...)...)
	if r.code != 0 {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	var b report.EtcdBackup
	if err := json.Unmarshal([]byte(r.stdout), &b); err != nil {
		t.Fatal(err)
	}
	if b.Proof.Verdict != report.Proven {
		t.Fatalf("verdict %q: %s", b.Proof.Verdict, b.Proof.Reason)
	}
	for _, check := range b.Proof.Checks {
		if check.State != report.CheckPassed {
			t.Errorf("check %s %s: %s", check.Name, check.State, check.Detail)
		}
	}
	return &b
}

// objects are all objects of a cluster as of one revision, byte for byte, by
// resource and name.
func (c *testCluster) objects(t *testing.T, revision int64) map[string]string {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string, into any) int {
		response, err := client.Get(config.Host + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode == http.StatusOK {
			if err := json.NewDecoder(response.Body).Decode(into); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
		return response.StatusCode
	}
	paths := []string{"/api/v1"}
	var groups metav1.APIGroupList
	get("/apis", &groups)
	for _, group := range groups.Groups {
		if group.Name != "metrics.k8s.io" {
			paths = append(paths, "/apis/"+group.PreferredVersion.GroupVersion)
		}
	}
	all := map[string]string{}
	for _, path := range paths {
		var resources metav1.APIResourceList
		get(path, &resources)
		for _, resource := range resources.APIResources {
			if strings.Contains(resource.Name, "/") || !slices.Contains(resource.Verbs, "list") || resource.Name == "componentstatuses" {
				continue
			}
			var list struct{ Items []json.RawMessage }
			where := fmt.Sprintf("%s/%s?resourceVersion=%d&resourceVersionMatch=Exact", path, resource.Name, revision)
			if code := get(where, &list); code != http.StatusOK {
				t.Fatalf("%s: status %d", where, code)
			}
			for _, item := range list.Items {
				var object struct{ Metadata metav1.ObjectMeta }
				if err := json.Unmarshal(item, &object); err != nil {
					t.Fatal(err)
				}
				all[path+"/"+resource.Name+" "+object.Metadata.Namespace+"/"+object.Metadata.Name] = string(item)
			}
		}
	}
	return all
}

// restored brings up a fresh control plane from a snapshot, with the certificates
// and keys of the cluster that it was taken of: what an operator has kept apart.
func restored(t *testing.T, from, name, snapshot string) *testCluster {
	t.Helper()
	tool, err := filepath.Abs(filepath.Join(root, "bin", "test-cluster"))
	if err != nil {
		t.Fatal(err)
	}
	saved, archive := filepath.Join(t.TempDir(), "saved.tar"), filepath.Join(t.TempDir(), "archive.tar")
	mustRun(t, nil, tool, "save", "--name", from, saved)
	exchange(t, saved, archive, snapshot)
	return up(t, name, "--restore", archive)
}

// exchange puts another snapshot into an archive, and makes it one of simulated
// nodes.
func exchange(t *testing.T, from, to, snapshot string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := tar.NewReader(in), tar.NewWriter(out)
	exchanged := false
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		switch header.Name {
		case "snapshot.db":
			if content, err = os.ReadFile(snapshot); err != nil {
				t.Fatal(err)
			}
			exchanged = true
		case "settings.json":
			content = bytes.Replace(content, []byte(`"node": true`), []byte(`"node": false`), 1)
		}
		header.Size = int64(len(content))
		if err := errors.Join(writer.WriteHeader(header), errors.Join(func() error { _, err := writer.Write(content); return err }())); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(writer.Close(), out.Close()); err != nil || !exchanged {
		t.Fatalf("no snapshot was exchanged (%v)", err)
	}
}

// sameObjects holds that a restored cluster has every object, as it was.
func sameObjects(t *testing.T, before, after map[string]string) {
	t.Helper()
	same(t, before, after)
	kinds := map[string]bool{}
	for name := range before {
		kinds[strings.Fields(name)[0]] = true
	}
	t.Logf("objects before %d, after %d, of %d resources", len(before), len(after), len(kinds))
}

// same holds that what was there is there, byte for byte, and nothing else.
func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		switch got, is := after[name]; {
		case !is:
			t.Errorf("%s is missing", name)
		case got != before[name]:
			t.Errorf("%s differs", name) // not how: it may be a Secret
		}
	}
	for name := range after {
		if _, was := before[name]; !was {
			t.Errorf("%s was not there", name)
		}
	}
}

func emptyDir(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left in %s: %v", dir, left)
	}
}

// TestBackup takes backups of a whole cluster and makes it anew from one.
func TestBackup(t *testing.T) {
	c := up(t, "e2e-backup", "--nodes", "2", "--encrypt")
	shop, err := filepath.Abs(filepath.Join(root, "examples", "shop"))
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, "apply", "-f", shop)
	etcd := c.etcdFlags(t, "")

	t.Run("a restored cluster has every object as it was", func(t *testing.T) {
		dir := t.TempDir()
		b := c.backup(t, dir, etcd...)
		before := c.objects(t, b.Snapshot.Revision)
		again := restored(t, "e2e-backup", "e2e-restored", filepath.Join(dir, b.Name))
		sameObjects(t, before, again.objects(t, b.Snapshot.Revision))
	})
	t.Run("what is encrypted at rest is told by its keys, and never shown", func(t *testing.T) { encryptedAtRest(t, c) })
	t.Run("doctor sees the record", func(t *testing.T) {
		d, _ := c.doctor(t, nil, "--check", "etcd-backup-missing,etcd-backup-stale,etcd-restore-untested")
		if len(d.Findings) > 0 || len(d.NotChecked) > 0 {
			t.Errorf("findings %+v, not checked %+v", d.Findings, d.NotChecked)
		}
	})
	t.Run("a line that is cut once is tried again", func(t *testing.T) {
		proxy := newCutter(t, c.etcdPort(t), 300_000, 1)
		if b := c.backup(t, t.TempDir(), c.etcdFlags(t, proxy)...); b.Transfer.Retries == 0 {
			t.Error("nothing was cut")
		}
	})
	t.Run("a line that is always cut leaves nothing", func(t *testing.T) {
		dir := t.TempDir()
		proxy := newCutter(t, c.etcdPort(t), 300_000, 1000)
		r := c.kubectl(t, nil, append([]string{"prod", "backup-etcd", "--to", dir}, c.etcdFlags(t, proxy)...)...)
		if r.code != 2 || !strings.Contains(r.stderr, "the stream broke after") {
			t.Errorf("exit code %d: %s", r.code, r.stderr)
		}
		emptyDir(t, dir)
	})
	t.Run("a full disk leaves nothing", func(t *testing.T) {
		if os.Geteuid() != 0 {
			if os.Getenv("CI") != "" {
				t.Fatal("a small disk needs root, and CI must have it")
			}
			t.Skip("a small disk needs root")
		}
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=200k"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Unmount(dir, 0) }()
		r := c.kubectl(t, nil, append([]string{"prod", "backup-etcd", "--to", dir}, etcd...)...)
		if r.code != 2 || !strings.Contains(r.stderr, "free") {
			t.Errorf("exit code %d: %s", r.code, r.stderr)
		}
		emptyDir(t, dir)
	})
	t.Run("kept compressed and encrypted, it is proven from where it lies", func(t *testing.T) {
		dir, secret := t.TempDir(), filepath.Join(t.TempDir(), "passphrase")
		writeFile(t, secret, "correct horse\n")
		b := c.backup(t, dir, append(etcd, "--compress", "--passphrase-file", secret)...)
		path := filepath.Join(dir, b.Name)
		if out := c.must(t, "prod", "backup-etcd", "verify", path, "--passphrase-file", secret); !strings.Contains(out, "proven by a restore") {
			t.Error(out)
		}
		if r := c.kubectl(t, nil, "prod", "backup-etcd", "verify", path); r.code != 2 || !strings.Contains(r.stderr, "it is encrypted") {
			t.Errorf("without the passphrase: exit code %d: %s", r.code, r.stderr)
		}
		t.Logf("list\n%s", c.must(t, "prod", "backup-etcd", "list", dir))
		damage, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damage[len(damage)/2] ^= 1
		if err := os.WriteFile(path, damage, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := c.kubectl(t, nil, "prod", "backup-etcd", "verify", path, "--passphrase-file", secret); r.code != 1 || !strings.Contains(r.stdout, "damaged") {
			t.Errorf("damaged: exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
	})
	t.Run("of three members", func(t *testing.T) { threeMembers(t, c) })
	t.Run("in stores", func(t *testing.T) { backupsInStores(t, c) })
	t.Run("the schedule is what the API server takes", func(t *testing.T) {
		args := []string{"prod", "backup-etcd", "schedule", "--cron", "17 2 * * *", "--to", "s3://backups/prod", "--secret", "store", "--keep", "14"}
		manifests := filepath.Join(t.TempDir(), "schedule.yaml")
		writeFile(t, manifests, c.must(t, args...))
		c.must(t, "apply", "--dry-run=server", "-f", manifests)
		c.must(t, append(args, "--apply", "--yes")...)
		if out := c.must(t, "get", "cronjob", "-n", "kube-system", "kubectl-prod-backup-etcd", "-o", "jsonpath={.spec.schedule}"); out != "17 2 * * *" {
			t.Errorf("schedule %q", out)
		}
	})
}

// newCutter is a way to etcd that breaks so many connections after so many bytes.
func newCutter(t *testing.T, port int, after int64, cuts int32) (endpoint string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var left atomic.Int32
	left.Store(cuts)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = client.Close() }()
				server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					return
				}
				defer func() { _ = server.Close() }()
				go func() { _, _ = io.Copy(server, client) }()
				if n, _ := io.CopyN(client, server, after); n == after && left.Add(-1) >= 0 {
					return
				}
				_, _ = io.Copy(client, server)
			}()
		}
	}()
	return "https://" + listener.Addr().String()
}

// backupFromNode takes backups through helper pods beside a real static pod.
func backupFromNode(t *testing.T, c *testCluster, name string) {
	dir := t.TempDir()
	b := c.backup(t, dir)
	if b.Source.Way != "helper pod" || c.helpers(t) != "" {
		t.Errorf("taken by %s; left: %s", b.Source.Way, c.helpers(t))
	}
	before := c.objects(t, b.Snapshot.Revision)
	t.Logf("kubectl prod backup-etcd\n%s", c.must(t, "prod", "backup-etcd", "--to", t.TempDir()))

	t.Run("interrupted in any phase it leaves nothing", func(t *testing.T) {
		into := t.TempDir()
		for phase, signal := range map[string]os.Signal{"look": syscall.SIGTERM, "save": os.Interrupt, "hash": syscall.SIGTERM} {
			code, stderr := c.ended(t, phase, signal, "backup-etcd", "--to", into)
			if code != 130 || c.helpers(t) != "" {
				t.Errorf("%v in phase %q: exit code %d, left %q: %s", signal, phase, code, c.helpers(t), stderr)
			}
			emptyDir(t, into)
		}
	})
	t.Run("killed, the next run removes what it left", func(t *testing.T) {
		_, _ = c.ended(t, "save", os.Kill, "backup-etcd", "--to", t.TempDir())
		left := c.helpers(t)
		r := c.kubectl(t, nil, "prod", "backup-etcd", "--to", t.TempDir())
		if left == "" || r.code != 0 || !strings.Contains(r.stderr, "of an earlier run") || c.helpers(t) != "" {
			t.Errorf("left %q, then exit code %d, left %q: %s", left, r.code, c.helpers(t), r.stderr)
		}
	})
	t.Run("broken in the middle, it is told in a line and leaves nothing", func(t *testing.T) { brokenInTheMiddle(t, c, name) })
	t.Run("refused by admission, it says what to allow", func(t *testing.T) { refusedByAdmission(t, c) })
	t.Run("the schedule's rights are exactly enough", func(t *testing.T) { rightsOfTheSchedule(t, c) })
	t.Run("the restore plan is true, line by line", func(t *testing.T) { planIsTrue(t, c, name) })
	t.Run("the snapshot becomes the cluster again", func(t *testing.T) {
		again := restored(t, name, "e2e-node-restored", filepath.Join(dir, b.Name))
		sameObjects(t, before, again.objects(t, b.Snapshot.Revision))
	})
}

// ended runs the plugin and sends it a signal as soon as there is a helper pod of
// that phase: look, save or hash.
func (c *testCluster) ended(t *testing.T, phase string, signal os.Signal, args ...string) (code int, stderr string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), c.lookUp(t, "kubectl-prod"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		_ = command.Wait() // its exit code tells
	}()
	eventually(t, 2*time.Minute, func() error {
		select {
		case <-done:
			return nil // the test says what came of it
		default:
		}
		if helpers := c.helpers(t); !strings.Contains(helpers, "kubectl-prod-etcd-"+phase) {
			return errNotYet(helpers)
		}
		return nil
	})
	_ = command.Process.Signal(signal)
	<-done
	return command.ProcessState.ExitCode(), said.String()
}
