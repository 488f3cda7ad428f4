package manifests

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
)

var update = flag.Bool("update", false, "write the golden files")

func remediable() []practice.Practice {
	return slices.DeleteFunc(catalogue.All(), func(p practice.Practice) bool { return p.Remedy == nil || p.Remedy.OptIn })
}

func run(files ...string) Run {
	return Run{
		Manifests: cluster.Manifests{Filenames: files, Namespace: "default", Time: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)},
		Practices: remediable(),
	}
}

// TestTheShop shows what is written into the example, and what is refused.
func TestTheShop(t *testing.T) {
	t.Chdir("../../..")
	result, err := run("examples/shop").Mend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	for _, file := range result.Files {
		said.Write(file.Diff())
	}
	said.WriteString("\n# Mended\n")
	for _, m := range result.Mended {
		fmt.Fprintf(&said, "%s %s/%s: %s\n", m.Practice, m.Object.Namespace, m.Object, m.Why)
	}
	said.WriteString("\n# Refused\n")
	for _, r := range result.Refused {
		fmt.Fprintf(&said, "%s %s/%s: %s\n", r.Practice, r.Object.Namespace, r.Object, r.Reason)
	}
	golden := filepath.Join("pkg", "harden", "manifests", "testdata", "shop.txt")
	if *update {
		if err := os.WriteFile(golden, said.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, said.Bytes()) {
		t.Errorf("%s differs (go test -update writes it):\n%s", golden, said.Bytes())
	}
}

// TestASecondRunChangesNothing mends every manifest that fails some practice,
// all practices at once: what is written reads as it should, nothing stands in
// a form that cannot be edited, and a second run finds nothing to write.
func TestASecondRunChangesNothing(t *testing.T) {
	files, err := filepath.Glob("../../practice/*/testdata/*/fail/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no cases")
	}
	for _, file := range append(files, "../../../examples/shop") {
		first := run(file)
		result, err := first.Mend(t.Context())
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, refused := range result.Refused {
			if strings.Contains(refused.Reason, file) || strings.Contains(refused.Reason, "in full") {
				t.Errorf("%s: %s %s: %s", file, refused.Practice, refused.Object, refused.Reason)
			}
		}
		second := first
		second.Manifests.Contents = map[string][]byte{}
		for _, f := range result.Files {
			second.Manifests.Contents[f.Path] = f.After
		}
		again, err := second.Mend(t.Context())
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, f := range again.Files {
			t.Errorf("%s: a second run changes it:\n%s", file, f.Diff())
		}
	}
}

func TestABrokenFileIsNamedWithItsLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(file, []byte("kind: Pod\n---\napiVersion: v1\n  kind: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(file).Mend(t.Context()); err == nil || !strings.Contains(err.Error(), "broken.yaml:4") {
		t.Errorf("got %v", err)
	}
}

// TestAPipeIsReadOnce mends what a shell's <(command) gives: the manifests are
// judged again and again, but the pipe is empty after the first time.
func TestAPipeIsReadOnce(t *testing.T) {
	pod, err := os.ReadFile("../../../examples/shop/frontend.yaml")
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = writer.Write(pod)
		_ = writer.Close()
	}()
	path := fmt.Sprintf("/dev/fd/%d", reader.Fd())
	result, err := run(path).Mend(t.Context())
	if err != nil || len(result.Files) != 1 || !bytes.Equal(result.Files[0].Before, pod) {
		t.Fatalf("%v: %+v", err, result)
	}
	if err := result.Files[0].Write(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("it wrote to a pipe: %v", err)
	}
}
