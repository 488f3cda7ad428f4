//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/test/pages"
)

// asked is a command whose answer here is not 0 or 1, and what it says instead:
// the cluster of simulated nodes has no etcd in a pod, and no store.
type asked struct {
	line string // a regular expression
	says string // on either stream, with exit code 2
}

func answers() []asked {
	return []asked{
		{`^backup-etcd( --to \S+)?$`, "--endpoints"},
		{`age1…`, "age1…"},                           // no key of anybody's
		{`^backup-etcd schedule --apply$`, "--cron"}, // the flags before are left out in the page
		{`^backup-etcd verify .* -i backup-key.txt$`, "backup-key.txt"},
		{`^backup-etcd list .*s3:`, "s3://backups/prod"},
		{`^completion --install$`, "is there already"}, // the tests' own
		{`^doctor --check gitops-`, "does not serve it"},
		{`^doctor --require-complete`, ""}, // simulated nodes have no kubelet to read
		{`^drain-check$`, "name the nodes"},
		{`^harden undo`, "no change"},
	}
}

// ours is a line with what is here in place of a reader's own, and of what a page
// leaves out.
func ours(line string) string {
	line = regexp.MustCompile(`((/var/)?backups/)?etcd-[0-9a-f]{8}-\d{8}T\d{6}Z\.db\b`).ReplaceAllString(line, snapshotName)
	return strings.NewReplacer(
		" … ", " ",
		"worker-1", "worker-a1",
		"drain-check NODE", "drain-check worker-a1",
		"explain ID", "explain pdb-missing",
		"-f FILE", "-f manifests",
		"-f MANIFESTS", "-f manifests",
		"diff BEFORE AFTER", "diff before.json after.json",
		"undo CHANGE", "undo 20261123-163207-851a",
		"/var/backups", "backups",
		"/var/lib/node_exporter/textfile/", "",
	).Replace(line)
}

// snapshotName is how the snapshot on the desk is called.
const snapshotName = "etcd-3f2a9c1b-20260801T020000Z.db"

// runDocs types each command of the pages as its reader would, in a directory
// that holds what they speak of.
func runDocs(t *testing.T, c *testCluster) {
	commands, err := pages.Commands(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := desk(t, c)
	done := map[string]bool{}
	for _, command := range commands {
		line := ours(command.Line)
		if done[line] || !c.isVerb(t, strings.Fields(line)[0]) {
			continue
		}
		done[line] = true
		began := time.Now()
		r := c.typed(t, dir, line)
		if took := time.Since(began); took > 5*time.Second {
			t.Logf("%s: kubectl prod %s", took.Round(time.Second), line)
		}
		if says, ok := answer(line); ok {
			if r.code != 2 || !strings.Contains(r.stdout+r.stderr, says) {
				t.Errorf("%s: kubectl prod %s: exit code %d, want 2 and %q\n%s%s", command.Page, line, r.code, says, r.stdout, r.stderr)
			}
			continue
		}
		if r.code != 0 && r.code != 1 {
			t.Errorf("%s: kubectl prod %s: exit code %d\n%s", command.Page, line, r.code, r.stderr)
		}
	}
	t.Logf("%d commands ran", len(done))
}

func answer(line string) (says string, ok bool) {
	for _, a := range answers() {
		if regexp.MustCompile(a.line).MatchString(line) {
			return a.says, true
		}
	}
	return "", false
}

// isVerb tells a command from a line of output, "kubectl prod v1.2.3 …".
func (c *testCluster) isVerb(t *testing.T, word string) bool {
	t.Helper()
	return c.kubectl(t, nil, "prod", word, "--help").code == 0
}

// desk is a directory with manifests, an overlay, a rule of one's own, diagnoses,
// and a snapshot of this cluster's etcd under the name that the pages give one;
// and a pool of nodes is blue.
func desk(t *testing.T, c *testCluster) string {
	t.Helper()
	dir := t.TempDir()
	shop := os.DirFS(filepath.Join(root, "examples", "shop"))
	overlay := filepath.Join(dir, "overlays", "production")
	for _, copied := range []string{filepath.Join(dir, "manifests"), overlay} {
		if err := os.CopyFS(copied, shop); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [00-namespace.yaml, cart.yaml]\n")
	writeFile(t, filepath.Join(dir, ".kubectl-prod.yaml"), `apiVersion: prod.kubectl.io/v1alpha1
kind: Config
custom:
- id: registry-not-ours
  title: Image from another registry
  severity: info
  kinds: [workloads]
  expression: podSpec.containers.all(c, c.image.startsWith("registry.example.com/"))
  message: '"runs " + podSpec.containers.map(c, c.image).join(", ")'
`)
	c.must(t, "label", "node", "worker-c2", "pool=blue")
	diagnosis := c.kubectl(t, nil, "prod", "doctor", "-o", "json").stdout
	for _, name := range []string{"before.json", "after.json", "yesterday.json"} {
		writeFile(t, filepath.Join(dir, name), diagnosis)
	}
	backups := filepath.Join(dir, "backups")
	if err := os.Mkdir(backups, 0o750); err != nil {
		t.Fatal(err)
	}
	taken := c.backup(t, backups, c.etcdFlags(t, "")...)
	if err := os.Rename(filepath.Join(backups, taken.Name), filepath.Join(dir, snapshotName)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// typed runs a line at a shell until it ends; one that watches is interrupted
// once it has shown something, as its reader would.
func (c *testCluster) typed(t *testing.T, dir, line string) result {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-c", "exec kubectl prod "+line)
	command.Dir = dir
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "PATH="+c.path, "XDG_STATE_HOME="+dir, "HOME="+dir, "AWS_EC2_METADATA_DISABLED=true")
	command.Stdin = strings.NewReader("apiVersion: v1\nkind: Pod\nmetadata: {name: bare}\nspec: {containers: [{name: c, image: 'c:1'}]}\n")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	watches := strings.Contains(line, "--watch")
	if watches {
		seen := &firstWrite{to: &stdout, seen: make(chan struct{})}
		command.Stdout = seen
		go func() {
			select {
			case <-seen.seen:
			case <-time.After(30 * time.Second): // it should have spoken: the exit code will tell
			}
			_ = command.Process.Signal(syscall.SIGINT)
		}()
	}
	err := command.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatalf("%s: %v", line, err)
	}
	r := result{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
	if watches && r.stdout != "" && r.code == 130 {
		r.code = 0 // interrupted by us
	}
	return r
}

// firstWrite tells when something was written.
type firstWrite struct {
	to   io.Writer // a field: a buffer's own ReadFrom would pass Write by
	seen chan struct{}
}

func (f *firstWrite) Write(p []byte) (int, error) {
	select {
	case <-f.seen:
	default:
		close(f.seen)
	}
	return f.to.Write(p)
}
