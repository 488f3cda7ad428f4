//go:build krew

package krew

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/cmd/gen-manifest/manifest"
)

// release is what goreleaser made: one archive for each platform, and their
// checksums.
type release struct {
	dist      string
	version   string // v1.2.3
	commit    string
	sums      manifest.Checksums
	platforms []manifest.Platform
}

func thisPlatform() manifest.Platform {
	return manifest.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}
}

// openRelease is $DIST where `make release-snapshot` was run before; otherwise
// what goreleaser makes of the release's own configuration for this machine
// alone, which takes a sixth of the time.
func openRelease(t *testing.T) release {
	t.Helper()
	dist, platforms := os.Getenv("DIST"), manifest.Platforms()
	if dist == "" {
		dist, platforms = build(t, ""), []manifest.Platform{thisPlatform()}
	}
	var metadata struct{ Version, Commit string }
	if err := json.Unmarshal(read(t, filepath.Join(dist, "metadata.json")), &metadata); err != nil {
		t.Fatal(err)
	}
	sums, err := manifest.ReadChecksums(bytes.NewReader(read(t, filepath.Join(dist, "checksums.txt"))))
	if err != nil {
		t.Fatal(err)
	}
	return release{dist: dist, version: "v" + metadata.Version, commit: metadata.Commit, sums: sums, platforms: platforms}
}

// tag is the release's tag; a snapshot has none.
func (r release) tag() string {
	if strings.HasSuffix(r.version, "-snapshot") {
		return ""
	}
	return r.version
}

// build has goreleaser release a tag, or a snapshot where there is none, from a
// clone of the repository, and returns its dist. From a clone, since goreleaser
// takes no commit's date where git has no remote, and without that date no two
// archives are alike.
func build(t *testing.T, tag string) string {
	t.Helper()
	checkout := filepath.Join(t.TempDir(), "clone")
	clone(t, repository(t), checkout)
	args := []string{"--snapshot", "--skip=publish,sign,sbom,ko"}
	if tag != "" {
		git(t, checkout, nil, "tag", "--force", tag)
		args = []string{"--skip=publish,sign,sbom,ko,announce"}
	}
	return goreleaser(t, checkout, args, nil, nil)
}

// goreleaser releases a checkout for this machine's platform, by its own
// configuration with changes, and returns its dist.
func goreleaser(t *testing.T, checkout string, args, env []string, change func(config map[string]any)) string {
	t.Helper()
	program := os.Getenv("GORELEASER")
	if program == "" {
		t.Fatal("GORELEASER names no goreleaser (`make krew-local` builds and names it)")
	}
	dist := filepath.Join(t.TempDir(), "dist")
	command := exec.CommandContext(t.Context(), program, slices.Concat([]string{"release", "--config=-"}, args)...)
	command.Dir, command.Env = checkout, append(os.Environ(), env...)
	command.Stdin = bytes.NewReader(narrowed(t, filepath.Join(checkout, ".goreleaser.yaml"), dist, change))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("goreleaser: %v\n%s", err, out)
	}
	return dist
}

// narrowed is a release's configuration for this machine's platform.
func narrowed(t *testing.T, config, dist string, change func(config map[string]any)) []byte {
	t.Helper()
	var tree map[string]any
	if err := yaml.Unmarshal(read(t, config), &tree); err != nil {
		t.Fatal(err)
	}
	tree["dist"] = dist
	for _, build := range tree["builds"].([]any) {
		build := build.(map[string]any)
		build["goos"], build["goarch"] = []string{runtime.GOOS}, []string{runtime.GOARCH}
	}
	if change != nil {
		change(tree)
	}
	data, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// archive is the path of a platform's archive.
func (r release) archive(p manifest.Platform) string {
	return filepath.Join(r.dist, p.Archive(r.version))
}

// files are what this machine's archive holds, by name.
func (r release) files(t *testing.T) map[string][]byte {
	t.Helper()
	file, err := os.Open(r.archive(thisPlatform()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	return untar(t, unzipped)
}

// untar is what a tar holds, by name.
func untar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

// everyArchiveIsTheManifests holds names, checksums and content: what the
// manifest promises to krew is what lies in the release.
func (w workshop) everyArchiveIsTheManifests(t *testing.T) {
	plugin, err := manifest.Plugin(w.release.version, w.release.sums, w.release.platforms)
	if err != nil {
		t.Fatal(err)
	}
	for i, platform := range w.release.platforms {
		archive := w.release.archive(platform)
		if got, want := sha256Of(t, archive), plugin.Spec.Platforms[i].Sha256; got != want {
			t.Errorf("%s has the checksum %s, and the manifest says %s", filepath.Base(archive), got, want)
		}
		info, err := os.Stat(archive)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.1f MB", filepath.Base(archive), float64(info.Size())/1e6)
		names := listing(t, archive)
		if slices.Sort(names); !slices.Equal(names, []string{"LICENSE", platform.Binary()}) {
			t.Errorf("%s holds %q, want LICENSE and %s at its root", filepath.Base(archive), names, platform.Binary())
		}
	}
}

// staticAndStripped holds that Linux' binary runs wherever its kernel does, and
// carries nothing for debuggers.
func (w workshop) staticAndStripped(t *testing.T) {
	binary, err := elf.NewFile(bytes.NewReader(w.files[thisPlatform().Binary()]))
	if err != nil {
		t.Fatal(err)
	}
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("it needs %q (%v)", libraries, err)
	}
	for _, part := range binary.Progs {
		if part.Type == elf.PT_INTERP {
			t.Error("it needs a dynamic linker")
		}
	}
	for _, section := range binary.Sections {
		if section.Name == ".symtab" || strings.Contains(section.Name, "debug") {
			t.Errorf("it holds %s, of %d bytes", section.Name, section.Size)
		}
	}
}

// theSameCommitGivesTheSameBytes builds again, elsewhere on the disk.
func (w workshop) theSameCommitGivesTheSameBytes(t *testing.T) {
	if head := strings.TrimSpace(string(git(t, repository(t), nil, "rev-parse", "HEAD"))); head != w.release.commit {
		t.Fatalf("the release was built of commit %s, and here is %s", w.release.commit, head)
	}
	again := filepath.Join(build(t, w.release.tag()), thisPlatform().Archive(w.release.version))
	if got, want := sha256Of(t, again), sha256Of(t, w.release.archive(thisPlatform())); got != want {
		t.Errorf("two builds of one commit differ: %s and %s", got, want)
	}
}

// clone copies the work tree, changes that are not committed included, with its
// history: Go stamps both into the binary.
func clone(t *testing.T, from, to string) {
	t.Helper()
	git(t, from, nil, "clone", "--quiet", "--no-hardlinks", ".", to)
	if changes := git(t, from, nil, "diff", "--binary", "HEAD"); len(changes) > 0 {
		git(t, to, changes, "apply")
	}
}

func git(t *testing.T, dir string, stdin []byte, args ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...)
	command.Dir, command.Stdin = dir, bytes.NewReader(stdin)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("git %q: %v", args, err)
	}
	return out
}

func repository(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
