//go:build krew

package krew

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	imageTag   = "v0.0.0-image"
	imageEntry = "/ko-app/kubectl-prod"
)

// publish has goreleaser publish a release as the release workflow does, with
// this in place of what is on the internet: a registry on this machine, a base that
// stands for the distroless one, and programs that only write what syft and cosign
// are asked to write. It needs Linux: the image holds no other binary.
func publish(t *testing.T) {
	r := newRegistry(t)
	checkout := filepath.Join(t.TempDir(), "clone")
	clone(t, repository(t), checkout)
	git(t, checkout, nil, "tag", "--force", imageTag)
	// Changes that are not committed are no reason not to test.
	args := []string{"--skip=announce,validate"}
	env := []string{"KO_DOCKER_REPO=" + r.address + "/kubectl-prod", "PATH=" + standIns(t) + string(os.PathListSeparator) + os.Getenv("PATH")}
	dist := goreleaser(t, checkout, args, env, func(config map[string]any) {
		config["release"] = map[string]any{"disable": true}
		for _, image := range config["kos"].([]any) {
			image := image.(map[string]any)
			image["base_image"], image["platforms"] = r.base(t), []string{thisPlatform().OS + "/" + thisPlatform().Arch}
		}
	})
	for _, name := range []string{"checksums.txt.sigstore.json", thisPlatform().Archive(imageTag) + ".sbom.json"} {
		if said := string(read(t, filepath.Join(dist, name))); !strings.Contains(said, strings.TrimSuffix(strings.TrimSuffix(name, ".sigstore.json"), ".sbom.json")) {
			t.Errorf("%s tells %q", name, said)
		}
	}
	r.holds(t, checkout, dist)
}

// holds looks at the image.
func (r registry) holds(t *testing.T, checkout, dist string) {
	t.Helper()
	name := r.address + "/kubectl-prod"
	var config struct {
		Created time.Time
		Config  struct {
			User       string
			Entrypoint []string
			Labels     map[string]string
		}
	}
	if err := json.Unmarshal(r.crane(t, "config", name+":"+imageTag), &config); err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532" || !slices.Equal(config.Config.Entrypoint, []string{imageEntry}) {
		t.Errorf("it runs %q as user %q", config.Config.Entrypoint, config.Config.User)
	}
	head := strings.TrimSpace(string(git(t, checkout, nil, "rev-parse", "HEAD")))
	if got := config.Config.Labels["org.opencontainers.image.revision"]; got != head {
		t.Errorf("it says that it is of commit %q, and was built of %s", got, head)
	}
	if committed := strings.TrimSpace(string(git(t, checkout, nil, "show", "-s", "--format=%ct"))); strconv.FormatInt(config.Created.Unix(), 10) != committed {
		t.Errorf("it says that it was made at %d, and the commit was at %s: two builds would differ", config.Created.Unix(), committed)
	}
	tags := strings.Fields(string(r.crane(t, "ls", name)))
	if !slices.Contains(tags, "latest") || !slices.ContainsFunc(tags, func(tag string) bool { return strings.HasSuffix(tag, ".sbom") }) {
		t.Errorf("its tags are %q, and latest and a bill of materials are due", tags)
	}

	binary := untar(t, bytes.NewReader(r.crane(t, "export", name+":"+imageTag, "-")))[imageEntry]
	released := release{dist: dist, version: imageTag}.files(t)[thisPlatform().Binary()]
	if len(binary) == 0 || !bytes.Equal(binary, released) {
		t.Errorf("the image holds another binary than the archive: %d and %d bytes", len(binary), len(released))
	}
	program := filepath.Join(t.TempDir(), "kubectl-prod")
	if err := os.WriteFile(program, binary, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program, "version").Output(); err != nil || !strings.Contains(string(out), imageTag) {
		t.Errorf("its version is %q (%v), want %s", out, err, imageTag)
	}
	t.Logf("%s: %.1f MB of binary, tags %q", name, float64(len(binary))/1e6, tags)
}

// standIns are a syft and a cosign that write what they were called with into the
// file that they were asked for.
func standIns(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, option := range map[string]string{"syft": "spdx-json=", "cosign": "--bundle="} {
		script := "#!/bin/sh\nfor arg; do case $arg in " + option + "*) file=${arg#" + option + "};; esac; done\necho \"$@\" >\"$file\"\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// registry is an image registry on this machine.
type registry struct{ program, address string }

func newRegistry(t *testing.T) registry {
	t.Helper()
	r := registry{program: filepath.Join(t.TempDir(), "crane")}
	goBuild(t, r.program, "github.com/google/go-containerregistry/cmd/crane", "-C", filepath.Join(repository(t), "test", "cluster"))
	serving := exec.CommandContext(t.Context(), r.program, "registry", "serve", "--address", "127.0.0.1:0", "--disk", t.TempDir())
	said, err := serving.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serving.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serving.Process.Kill()
		_ = serving.Wait() // it was killed
	})
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if port := regexp.MustCompile(`serving on port (\d+)`).FindStringSubmatch(lines.Text()); port != nil {
			r.address = "127.0.0.1:" + port[1]
			return r
		}
	}
	t.Fatal("the registry ended")
	return r
}

func (r registry) crane(t *testing.T, args ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), r.program, args...)
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		t.Fatalf("crane %q: %v\n%s", args, err, said.String())
	}
	return out
}

// base is an image with a user and no program, as the distroless one.
func (r registry) base(t *testing.T) string {
	t.Helper()
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	passwd := "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	if err := archive.WriteHeader(&tar.Header{Name: "etc/passwd", Size: int64(len(passwd)), Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write([]byte(passwd)); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "layer.tar")
	if err := os.WriteFile(file, layer.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	base := r.address + "/base:nonroot"
	r.crane(t, "append", "--new_layer", file, "--new_tag", base)
	r.crane(t, "mutate", "--user=65532", "--set-platform="+thisPlatform().OS+"/"+thisPlatform().Arch, "--tag", base, base)
	return base
}
