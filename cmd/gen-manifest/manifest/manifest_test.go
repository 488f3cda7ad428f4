package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"sigs.k8s.io/krew/pkg/index"
	"sigs.k8s.io/yaml"
)

func TestTheCommittedManifestsAreTheSame(t *testing.T) {
	if !bytes.Equal(committed(t, "krew-manifest.yaml"), committed(t, "plugins/prod.yaml")) {
		t.Error("krew-manifest.yaml and plugins/prod.yaml differ: run cmd/gen-manifest")
	}
}

func TestTheCommittedManifestIsWhatItsChecksumsGive(t *testing.T) {
	data := committed(t, "krew-manifest.yaml")
	var was index.Plugin
	if err := yaml.UnmarshalStrict(data, &was); err != nil {
		t.Fatal(err)
	}
	sums := Checksums{}
	for _, p := range was.Spec.Platforms {
		sums[filepath.Base(p.URI)] = p.Sha256
	}
	plugin, err := Plugin(was.Spec.Version, sums, Platforms())
	if err != nil {
		t.Fatal(err)
	}
	if again := render(t, plugin); !bytes.Equal(data, again) {
		t.Errorf("krew-manifest.yaml is not what cmd/gen-manifest writes, which is:\n%s", again)
	}
}

func TestTheManifestKeepsWithinKrewsLimits(t *testing.T) {
	plugin := example(t)
	if len(plugin.Spec.Platforms) != 6 {
		t.Errorf("%d platforms, want six", len(plugin.Spec.Platforms))
	}
	if n := utf8.RuneCountInString(plugin.Spec.ShortDescription); n > 50 {
		t.Errorf("shortDescription has %d characters, and krew's reviewers ask for at most 50", n)
	}
	for line := range strings.SplitSeq(plugin.Spec.Description+plugin.Spec.Caveats, "\n") {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("wider than 80: %s", line)
		}
	}
	if rendered := render(t, plugin); bytes.Contains(rendered, []byte("null")) || bytes.Contains(rendered, []byte("files")) {
		t.Errorf("krew takes everything where `files` is left out:\n%s", rendered)
	}
}

func TestAPlatformNeedsItsChecksum(t *testing.T) {
	_, err := Plugin("v1.2.3", Checksums{}, []Platform{{"linux", "arm64"}})
	if err == nil || !strings.Contains(err.Error(), "kubectl-prod_v1.2.3_linux_arm64.tar.gz") {
		t.Errorf("got %v, want the archive's name", err)
	}
}

func TestVersionsStartWithV(t *testing.T) {
	for _, version := range []string{"", "1.2.3", "v1.2", "v1.2.3 ", "latest"} {
		if _, err := Plugin(version, nil, nil); err == nil {
			t.Errorf("%q was taken for a version", version)
		}
	}
}

func TestChecksumsAreReadAsGoreleaserWritesThem(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	sums, err := ReadChecksums(strings.NewReader(sum + "  one.tar.gz\n" + sum + " *two.zip\n\n"))
	if err != nil || sums["one.tar.gz"] != sum || sums["two.zip"] != sum || len(sums) != 2 {
		t.Errorf("got %v, %v", sums, err)
	}
	for _, bad := range []string{"one.tar.gz", sum[1:] + "  short.zip", strings.ToUpper(sum) + "  upper.zip"} {
		if _, err := ReadChecksums(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken for a checksum", bad)
		}
	}
}

// What a pipeline downloads by name is what a release has, of the version that
// krew installs.
func TestTheDocsDownloadWhatIsReleased(t *testing.T) {
	var plugin index.Plugin
	if err := yaml.UnmarshalStrict(committed(t, "krew-manifest.yaml"), &plugin); err != nil {
		t.Fatal(err)
	}
	var released []string
	for _, p := range plugin.Spec.Platforms {
		released = append(released, filepath.Base(p.URI))
	}
	downloads := filepath.Base(filepath.Dir(plugin.Spec.Platforms[0].URI))
	archive := regexp.MustCompile(`kubectl-prod_[\w.]+\.(?:tar\.gz|zip)`)
	version := regexp.MustCompile(`releases/download/([^\s/]+)`)
	named := 0
	for _, page := range []string{"README.md", "docs/ci.md"} {
		text := string(committed(t, page))
		for _, name := range archive.FindAllString(text, -1) {
			named++
			if !slices.Contains(released, name) {
				t.Errorf("%s downloads %s, which no release has: %s", page, name, released)
			}
		}
		for _, found := range version.FindAllStringSubmatch(text, -1) {
			if found[1] != downloads {
				t.Errorf("%s downloads from %s, and krew from %s", page, found[1], downloads)
			}
		}
	}
	if named == 0 {
		t.Error("no page names an archive: is the pattern still right?")
	}
}

func example(t *testing.T) *index.Plugin {
	t.Helper()
	sums := Checksums{}
	for _, p := range Platforms() {
		sums[p.Archive("v1.2.3")] = strings.Repeat("0a", 32)
	}
	plugin, err := Plugin("v1.2.3", sums, Platforms())
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

func render(t *testing.T, plugin *index.Plugin) []byte {
	t.Helper()
	data, err := Render(plugin)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func committed(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
