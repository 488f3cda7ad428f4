//go:build krew

// Package krew installs the plugin as its users do: from a release's archive,
// with real krew, into a throw-away root, and runs it through a real kubectl.
package krew

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/krew/pkg/index"

	"github.com/kubectl-prod/kubectl-prod/cmd/gen-manifest/manifest"
)

func TestKrew(t *testing.T) {
	w := newWorkshop(t)
	t.Run("manifest and archives agree", w.everyArchiveIsTheManifests)
	t.Run("the binary is static and stripped", w.staticAndStripped)
	t.Run("installs the plugin, and kubectl runs it", w.install)
	t.Run("installs, upgrades and uninstalls from an index", w.customIndex)
	t.Run("refuses an archive that is not the manifest's", w.refuseWrongChecksum)
	t.Run("refuses an archive that writes beside its directory", w.refuseTraversal)
	t.Run("refuses an archive without the binary", w.refuseMissingBinary)
	t.Run("validates the archive", w.validateArchive)
	t.Run("refuses an archive without a licence", w.refuseMissingLicence)
	t.Run("validates the committed manifest", w.validateCommitted)
	t.Run("the same commit gives the same bytes", w.theSameCommitGivesTheSameBytes)
	t.Run("publishes an image with a signature and bills of materials", publish)
}

// install holds the road of every user: archive, manifest, krew, kubectl.
func (w workshop) install(t *testing.T) {
	archive := w.release.archive(thisPlatform())
	user := w.newUser(t)
	user.mustRun("krew", "install", "--manifest="+writeManifest(t, w.describe(t, archive)), "--archive="+archive)

	if out := user.mustRun("kubectl", "plugin", "list"); !strings.Contains(out, user.linked()) {
		t.Errorf("kubectl does not see the plugin:\n%s", out)
	}
	if out := user.mustRun("kubectl", "prod", "version"); !strings.Contains(out, w.release.version) {
		t.Errorf("kubectl prod version: got %q, want %s", out, w.release.version)
	}
	out := user.mustRun("kubectl", "prod", "doctor", "--fail-on=none", "-f", filepath.Join("testdata", "trouble.yaml"))
	if !strings.Contains(out, "memory-limit-unset") {
		t.Errorf("doctor did not find the missing limit:\n%s", out)
	}

	// What the manifest's caveats tell of.
	user.mustRun("kubectl", "prod", "completion", "--install")
	if out := user.mustRun("kubectl", "__complete", "prod", "doc"); !strings.Contains(out, "doctor") {
		t.Errorf("completion of doc: got %q, want doctor", out)
	}
	t.Run("doctor reads a live cluster", user.doctorLive)
}

// doctorLive brings up the cluster of `make demo`.
func (u user) doctorLive(t *testing.T) {
	tool := filepath.Join(repository(t), "bin", "test-cluster")
	cluster := func(args ...string) string {
		out, err := exec.Command(tool, append(args, "--name", "krew")...).Output()
		if err != nil {
			t.Fatalf("test-cluster %s: %v", args[0], err)
		}
		return strings.TrimSpace(string(out))
	}
	t.Cleanup(func() { cluster("down") })
	cluster("up", "--nodes", "3")
	live := u.with("KUBECONFIG=" + cluster("kubeconfig"))
	live.mustRun("kubectl", "apply", "--recursive", "-f", filepath.Join(repository(t), "examples", "shop"))
	out := live.mustRun("kubectl", "prod", "doctor", "--fail-on=none")
	if !strings.Contains(out, "pdb-blocks-drain") || !strings.Contains(out, "3 nodes") {
		t.Errorf("doctor does not tell of the shop's trouble:\n%s", out)
	}
	t.Log("\n" + out)
}

func (w workshop) refuseWrongChecksum(t *testing.T) {
	archive := w.release.archive(thisPlatform())
	plugin := w.describe(t, archive)
	plugin.Spec.Platforms[0].Sha256 = strings.Repeat("0", 64)
	w.newUser(t).refused(plugin, archive, "checksum does not match")
}

func (w workshop) refuseTraversal(t *testing.T) {
	for _, entry := range []string{"../evil", "/evil", "a/../../evil"} {
		archive := w.writeArchive(t, map[string][]byte{
			"LICENSE": w.files["LICENSE"], thisPlatform().Binary(): []byte("a small one"), entry: []byte("evil"),
		})
		w.newUser(t).refused(w.describe(t, archive), archive, "refusing to unpack archive with")
	}
}

func (w workshop) refuseMissingBinary(t *testing.T) {
	archive := w.writeArchive(t, map[string][]byte{"LICENSE": w.files["LICENSE"]})
	w.newUser(t).refused(w.describe(t, archive), archive, "")
}

// refused holds that krew installs nothing, and says why.
func (u user) refused(plugin *index.Plugin, archive, why string) {
	u.t.Helper()
	out, code := u.run("krew", "install", "--manifest="+writeManifest(u.t, plugin), "--archive="+archive)
	if code == 0 || !strings.Contains(out, why) {
		u.t.Errorf("krew exited with %d, and should have refused with %q:\n%s", code, why, out)
	}
	if _, err := os.Lstat(u.linked()); !os.IsNotExist(err) {
		u.t.Errorf("krew linked the plugin all the same: %v", err)
	}
}

func (w workshop) validateArchive(t *testing.T) {
	if out, code := w.validate(t, w.release.archive(thisPlatform())); code != 0 {
		t.Errorf("the validator exited with %d:\n%s", code, out)
	}
}

func (w workshop) refuseMissingLicence(t *testing.T) {
	archive := w.writeArchive(t, map[string][]byte{thisPlatform().Binary(): []byte("a small one")})
	if out, code := w.validate(t, archive); code == 0 || !strings.Contains(out, "LICENSE") {
		t.Errorf("the validator exited with %d:\n%s", code, out)
	}
}

func (w workshop) validateCommitted(t *testing.T) {
	w.newUser(t).mustRun("validate-krew-manifest", "-skip-install", "-manifest", filepath.Join(repository(t), "plugins", "prod.yaml"))
}

// validate runs what krew-index runs on a submission: the validator downloads
// the archive, here from this machine, installs it and looks for a licence.
func (w workshop) validate(t *testing.T, archive string) (output string, code int) {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(archive))))
	defer server.Close()
	plugin := w.describe(t, archive)
	plugin.Spec.Platforms[0].URI = server.URL + "/" + filepath.Base(archive)
	return w.newUser(t).run("validate-krew-manifest", "-manifest", writeManifest(t, plugin))
}

// describe is the manifest of one archive, for this machine's platform.
func (w workshop) describe(t *testing.T, archive string) *index.Plugin {
	t.Helper()
	sums := manifest.Checksums{filepath.Base(archive): sha256Of(t, archive)}
	plugin, err := manifest.Plugin(w.release.version, sums, []manifest.Platform{thisPlatform()})
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

// writeManifest names the file after the plugin, as the validator demands.
func writeManifest(t *testing.T, plugin *index.Plugin) string {
	t.Helper()
	data, err := manifest.Render(plugin)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), manifest.Name+".yaml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
