//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// helpers are the helper pods that are there.
func (c *testCluster) helpers(t *testing.T) string {
	t.Helper()
	return c.must(t, "get", "pods", "-A", "-l", "prod.kubectl.io/helper=backup-etcd", "-o", "name")
}

// server is the address of the API server.
func (c *testCluster) server(t *testing.T) string {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Host
}

// brokenInTheMiddle streams over a slow line and breaks something while it does.
// Each run is the next one of the run that was broken before.
func brokenInTheMiddle(t *testing.T, c *testCluster, name string) {
	c.fill(t, 40)
	const middle = 12 << 20
	for _, test := range []struct {
		name string
		// break is called once, in the middle of the stream; process is the plugin.
		breaks func(t *testing.T, w *way, process *os.Process, dir string)
		code   int
		want   string // of stderr
	}{
		{"SIGTERM", func(_ *testing.T, _ *way, p *os.Process, _ string) { _ = p.Signal(syscall.SIGTERM) }, 130, "interrupted: nothing was kept, and the helper pod is removed"},
		{"the line is cut", func(_ *testing.T, w *way, _ *os.Process, _ string) { w.cut() }, 0, ""},
		{"the helper pod is deleted", func(t *testing.T, _ *way, _ *os.Process, _ string) {
			c.must(t, "delete", "pods", "-n", "kube-system", "-l", "prod.kubectl.io/helper=backup-etcd", "--grace-period=1") // and waits: the line is slow until the pod is gone
		}, 2, "somebody removed the helper pod"},
		{"the disk gets full", func(_ *testing.T, _ *way, _ *os.Process, dir string) {
			_ = os.WriteFile(filepath.Join(dir, "somebody-elses"), make([]byte, 100<<20), 0o600) // as much as fits
		}, 2, "no space left on device"},
		{"the API server restarts", func(t *testing.T, _ *way, _ *os.Process, _ string) {
			c.endProcesses(t, "kube-apiserver")
			tool, err := filepath.Abs(filepath.Join(root, "bin", "test-cluster"))
			if err != nil {
				t.Error(err)
				return
			}
			if err := bringUp(tool, name, "--node"); err != nil { // repairs
				t.Error(err)
			}
		}, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := smallDisk(t, "90m")
			w := newWay(t, c.server(t))
			var once sync.Once
			broken := make(chan bool)
			command := exec.CommandContext(t.Context(), c.lookUp(t, "kubectl-prod"), "backup-etcd", "--to", dir, "--depth", "consistency", "-o", "json", "--server", "https://"+w.address)
			w.onDownload = func(bytes int64) {
				if bytes > middle {
					once.Do(func() {
						go func() {
							defer close(broken)
							test.breaks(t, w, command.Process, dir)
						}()
					})
					select {
					case <-broken:
					case <-time.After(10 * time.Millisecond): // a slow line, so that it is still in use when it breaks
					}
				}
			}
			command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
			var stdout, stderr bytes.Buffer
			command.Stdout, command.Stderr = &stdout, &stderr
			began := time.Now()
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			_ = command.Wait() // its exit code tells
			t.Logf("exit code %d after %s: %s", command.ProcessState.ExitCode(), time.Since(began).Round(time.Second), stderr.String())
			once.Do(func() { t.Error("nothing was broken"); close(broken) })
			<-broken
			if code := command.ProcessState.ExitCode(); code != test.code || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("exit code %d: %s", code, stderr.String())
			}
			if left := c.helpers(t); left != "" {
				t.Errorf("left: %s", left)
			}
			_ = os.Remove(filepath.Join(dir, "somebody-elses"))
			if test.code != 0 {
				emptyDir(t, dir)
			} else {
				var b report.EtcdBackup
				if err := json.Unmarshal(stdout.Bytes(), &b); err != nil || b.Proof.Verdict != report.Proven || b.Transfer.Retries == 0 {
					t.Errorf("%v: %+v %+v", err, b.Proof, b.Transfer)
				}
			}
		})
	}
}

// smallDisk is a directory with so much room.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	return dir
}

// refusedByAdmission has real admission refuse the helper pod.
func refusedByAdmission(t *testing.T, c *testCluster) {
	refused := func(t *testing.T, want string) {
		t.Helper()
		eventually(t, time.Minute, func() error { // a policy takes a moment to hold
			dir := t.TempDir()
			r := c.kubectl(t, nil, "prod", "backup-etcd", "--to", dir)
			if r.code != 2 || !strings.Contains(r.stderr, want) || strings.Count(r.stderr, "error:") != 1 {
				return fmt.Errorf("exit code %d: %s", r.code, r.stderr)
			}
			emptyDir(t, dir)
			t.Logf("%s", r.stderr)
			return nil
		})
		if left := c.helpers(t); left != "" {
			t.Errorf("left: %s", left)
		}
	}
	t.Run("Pod Security", func(t *testing.T) {
		c.must(t, "label", "namespace", "kube-system", "pod-security.kubernetes.io/enforce=baseline", "--overwrite")
		defer c.must(t, "label", "namespace", "kube-system", "pod-security.kubernetes.io/enforce-")
		refused(t, "kubectl label namespace kube-system pod-security.kubernetes.io/enforce=privileged --overwrite")
	})
	t.Run("a policy", func(t *testing.T) {
		policy := filepath.Join("testdata", "no-host-path.yaml")
		c.must(t, "apply", "-f", policy)
		defer c.must(t, "delete", "-f", policy)
		refused(t, "policy no-host-path refuses the helper pod: exempt pods with the label app.kubernetes.io/managed-by=kubectl-prod,prod.kubectl.io/helper=backup-etcd in namespace kube-system")
	})
	t.Run("no right to make pods", func(t *testing.T) {
		r := c.kubectl(t, nil, "prod", "backup-etcd", "--to", t.TempDir(), "--as", "system:serviceaccount:kube-system:node-controller")
		if r.code != 2 || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("exit code %d: %s", r.code, r.stderr)
		}
		t.Logf("%s", r.stderr)
	})
	eventually(t, time.Minute, func() error {
		if r := c.kubectl(t, nil, "prod", "backup-etcd", "--to", t.TempDir(), "--depth", "integrity"); r.code != 0 {
			return fmt.Errorf("exit code %d: %s", r.code, r.stderr)
		}
		return nil
	})
}

// rightsOfTheSchedule runs the plugin as the CronJob's ServiceAccount and holds
// what it asked the API server against the printed roles, both ways.
func rightsOfTheSchedule(t *testing.T, c *testCluster) {
	args := []string{"prod", "backup-etcd", "schedule", "--cron", "17 2 * * *", "--to", "s3://backups/prod", "--secret", "store"}
	printed := c.must(t, args...)
	c.must(t, append(args, "--apply", "--yes")...)
	defer func() {
		manifests := filepath.Join(t.TempDir(), "schedule.yaml")
		writeFile(t, manifests, printed)
		c.must(t, "delete", "-f", manifests)
	}()
	account := filepath.Join(t.TempDir(), "kubeconfig")
	config, err := clientcmd.LoadFromFile(c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.ClientCertificate, user.ClientKey, user.ClientCertificateData, user.ClientKeyData = "", "", nil, nil
		user.Token = strings.TrimSpace(c.must(t, "create", "token", "-n", "kube-system", "kubectl-prod-backup-etcd"))
	}
	if err := clientcmd.WriteToFile(*config, account); err != nil {
		t.Fatal(err)
	}
	recorder := (&testCluster{kubeconfig: account, path: c.path}).record(t)
	scheduled := &testCluster{kubeconfig: recorder.proxy.Kubeconfig, path: c.path}
	// An orphan to remove, no record yet, and then one to change.
	_, _ = c.ended(t, "save", os.Kill, "backup-etcd", "--to", t.TempDir())
	c.must(t, "delete", "configmap", "-n", "kube-system", "kubectl-prod-etcd-backup", "--ignore-not-found")
	for range 2 {
		r := scheduled.kubectl(t, nil, "prod", "backup-etcd", "--to", t.TempDir(), "-o", "json")
		var b report.EtcdBackup
		if err := json.Unmarshal([]byte(r.stdout), &b); r.code != 0 || err != nil || b.Proof.Verdict != report.Proven {
			t.Fatalf("exit code %d, %v: %s", r.code, err, r.stderr)
		}
		for _, warning := range b.Warnings {
			t.Errorf("it warns: %s", warning)
		}
	}
	used := map[string]bool{}
	for _, request := range recorder.seen() {
		used[right(request.Method, request.URL.Path, request.URL.Query())] = true
	}
	for document := range strings.SplitSeq(printed, "---\n") {
		var role rbacv1.Role
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, verb := range rule.Verbs {
				for _, resource := range rule.Resources {
					// Of the two ways to forward a port one is a GET, the other a POST.
					if is := used[verb+" "+resource] || resource == "pods/portforward" && used["get "+resource]; !is {
						t.Errorf("%s %s grants %s of %s, which was never used", role.Kind, role.Name, verb, resource)
					}
				}
			}
		}
	}
}

// right is what a request takes: verb and resource.
func right(method, path string, query url.Values) string {
	parts := strings.Split(strings.TrimPrefix(strings.TrimPrefix(path, "/api/v1/"), "/apis/"), "/")
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	resource, named := parts[0], len(parts) > 1
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	verb := strings.ToLower(method)
	switch {
	case method == "GET" && !named && !query.Has("watch"):
		verb = "list"
	case method == "POST":
		verb = "create"
	}
	return verb + " " + resource
}
