//go:build krew

// Package krew installs the plugin as its users do: from an archive, with real
// krew, into a throw-away root, and runs it through a real kubectl.
package krew

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/krew/pkg/index"

	"github.com/kubectl-prod/kubectl-prod/cmd/gen-manifest/manifest"
)

// version is what the archive under test calls itself.
const version = "v0.1.0"

func TestKrew(t *testing.T) {
	w := newWorkshop(t)
	t.Run("installs the plugin, and kubectl runs it", w.install)
	t.Run("refuses an archive that is not the manifest's", w.refuseWrongChecksum)
	t.Run("validates the archive", w.validateArchive)
	t.Run("refuses an archive without a licence", w.refuseMissingLicence)
	t.Run("validates the committed manifest", w.validateCommitted)
}

// install holds the road of every user: archive, manifest, krew, kubectl.
func (w workshop) install(t *testing.T) {
	archive := writeArchive(t, w.files)
	user := w.newUser(t)
	user.mustRun("krew", "install", "--manifest="+writeManifest(t, describe(t, archive)), "--archive="+archive)

	linked := filepath.Join(user.krewRoot, "bin", "kubectl-prod")
	if out := user.mustRun("kubectl", "plugin", "list"); !strings.Contains(out, linked) {
		t.Errorf("kubectl does not see the plugin:\n%s", out)
	}
	if out := user.mustRun("kubectl", "prod", "version"); !strings.Contains(out, version) {
		t.Errorf("kubectl prod version: got %q, want %s", out, version)
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

func (u user) doctorLive(t *testing.T) {
	kubeconfig := os.Getenv("KUBECTL_PROD_TEST_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("skipped: KUBECTL_PROD_TEST_KUBECONFIG names no cluster's kubeconfig")
	}
	t.Log("\n" + u.with("KUBECONFIG="+kubeconfig).mustRun("kubectl", "prod", "doctor", "--fail-on=none"))
}

func (w workshop) refuseWrongChecksum(t *testing.T) {
	archive := writeArchive(t, w.files)
	plugin := describe(t, archive)
	plugin.Spec.Platforms[0].Sha256 = strings.Repeat("0", 64)
	out, code := w.newUser(t).run("krew", "install", "--manifest="+writeManifest(t, plugin), "--archive="+archive)
	if code == 0 || !strings.Contains(out, "checksum") {
		t.Errorf("krew exited with %d:\n%s", code, out)
	}
}

func (w workshop) validateArchive(t *testing.T) {
	if out, code := w.validate(t, w.files); code != 0 {
		t.Errorf("the validator exited with %d:\n%s", code, out)
	}
}

func (w workshop) refuseMissingLicence(t *testing.T) {
	files := maps.Clone(w.files)
	delete(files, "LICENSE")
	if out, code := w.validate(t, files); code == 0 || !strings.Contains(out, "LICENSE") {
		t.Errorf("the validator exited with %d:\n%s", code, out)
	}
}

func (w workshop) validateCommitted(t *testing.T) {
	w.newUser(t).mustRun("validate-krew-manifest", "-skip-install", "-manifest", filepath.Join("..", "..", "plugins", "prod.yaml"))
}

// validate runs what krew-index runs on a submission: the validator downloads
// the archive, here from this machine, installs it and looks for a licence.
func (w workshop) validate(t *testing.T, files map[string][]byte) (output string, code int) {
	t.Helper()
	archive := writeArchive(t, files)
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(archive))))
	defer server.Close()
	plugin := describe(t, archive)
	plugin.Spec.Platforms[0].URI = server.URL + "/" + filepath.Base(archive)
	return w.newUser(t).run("validate-krew-manifest", "-manifest", writeManifest(t, plugin))
}

// describe is the manifest of one archive, for this machine's platform.
func describe(t *testing.T, archive string) *index.Plugin {
	t.Helper()
	sums := manifest.Checksums{filepath.Base(archive): sha256Of(t, archive)}
	plugin, err := manifest.Plugin(version, sums, []manifest.Platform{thisPlatform()})
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
