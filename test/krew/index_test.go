//go:build krew

package krew

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/cmd/gen-manifest/manifest"
)

// customIndex is what README tells: the repository is an index of its own. A
// version before is installed from it, upgraded and taken away.
func (w workshop) customIndex(t *testing.T) {
	archives := httptest.NewServer(http.FileServer(http.Dir(w.release.dist)))
	defer archives.Close()
	repo := newIndex(t)
	repo.publish("v0.0.0-before", w.manifest(t, archives.URL, "v0.0.0-before"))

	user := w.newUser(t)
	user.mustRun("kubectl", "krew", "index", "add", "prod", "file://"+repo.dir)
	user.mustRun("kubectl", "krew", "install", "prod/prod")
	if out := user.mustRun("kubectl", "krew", "list"); !strings.Contains(out, "prod/prod") {
		t.Errorf("krew list does not name the plugin:\n%s", out)
	}
	if out := user.mustRun("kubectl", "krew", "search", "prod"); !strings.Contains(out, "prod/prod") {
		t.Errorf("krew search does not find it:\n%s", out)
	}
	user.mustRun("kubectl", "prod", "completion", "--install")

	repo.publish(w.release.version, w.manifest(t, archives.URL, w.release.version))
	if out := user.mustRun("kubectl", "krew", "upgrade"); !strings.Contains(out, "Upgraded plugin: prod") {
		t.Errorf("krew did not upgrade:\n%s", out)
	}
	if out := user.mustRun("kubectl", "krew", "info", "prod/prod"); !strings.Contains(out, w.release.version) {
		t.Errorf("krew info does not tell %s:\n%s", w.release.version, out)
	}
	// Both links survive an upgrade.
	user.mustRun("kubectl", "prod", "version")
	if out := user.mustRun("kubectl", "__complete", "prod", "doc"); !strings.Contains(out, "doctor") {
		t.Errorf("completion after the upgrade: %q", out)
	}

	user.mustRun("kubectl", "krew", "uninstall", "prod")
	if out, code := user.run("kubectl", "prod", "version"); code == 0 {
		t.Errorf("the plugin is still there:\n%s", out)
	}
	if _, err := os.Lstat(user.linked()); !os.IsNotExist(err) {
		t.Errorf("krew's link is still there: %v", err)
	}
}

// manifest is the release's for this machine, with its archive at a URL, under
// any version.
func (w workshop) manifest(t *testing.T, url, version string) []byte {
	t.Helper()
	plugin := w.describe(t, w.release.archive(thisPlatform()))
	plugin.Spec.Version = version
	plugin.Spec.Platforms[0].URI = url + "/" + thisPlatform().Archive(w.release.version)
	data, err := manifest.Render(plugin)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// gitIndex is a krew index in a git repository.
type gitIndex struct {
	t   *testing.T
	dir string
}

func newIndex(t *testing.T) gitIndex {
	t.Helper()
	index := gitIndex{t: t, dir: t.TempDir()}
	index.git("init", "--quiet", "--initial-branch=main")
	return index
}

// publish commits a manifest.
func (i gitIndex) publish(version string, manifest []byte) {
	i.t.Helper()
	plugins := filepath.Join(i.dir, "plugins")
	if err := os.MkdirAll(plugins, 0o750); err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(plugins, "prod.yaml"), manifest, 0o600); err != nil {
		i.t.Fatal(err)
	}
	i.git("add", ".")
	i.git("-c", "user.name=release", "-c", "user.email=release@example.com", "commit", "--quiet", "-m", version)
}

func (i gitIndex) git(args ...string) {
	i.t.Helper()
	command := exec.CommandContext(i.t.Context(), "git", args...)
	command.Dir = i.dir
	if out, err := command.CombinedOutput(); err != nil {
		i.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}
