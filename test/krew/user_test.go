//go:build krew

package krew

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// workshop holds what is built once for all tests.
type workshop struct {
	bin     string // directory of kubectl, git and krew's programs
	release release
	files   map[string][]byte // of the release's archive, by name
}

// newWorkshop builds the release, and krew's programs from the module that
// go.mod names as a tool.
func newWorkshop(t *testing.T) workshop {
	t.Helper()
	bin := t.TempDir()
	for _, program := range []string{"krew", "validate-krew-manifest"} {
		goBuild(t, filepath.Join(bin, program), "sigs.k8s.io/krew/cmd/"+program)
	}
	link(t, "krew", filepath.Join(bin, "kubectl-krew")) // for `kubectl krew`
	link(t, findKubectl(t), filepath.Join(bin, "kubectl"))
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	link(t, git, filepath.Join(bin, "git")) // krew's indexes are repositories
	release := openRelease(t)
	return workshop{bin: bin, release: release, files: release.files(t)}
}

// user is someone who never used krew: an empty home, a krew root of their own,
// and a PATH that holds kubectl, krew, git and what krew links, nothing else.
type user struct {
	t        *testing.T
	bin      string
	krewRoot string
	env      []string
}

func (w workshop) newUser(t *testing.T) user {
	t.Helper()
	krewRoot := t.TempDir()
	return user{t: t, bin: w.bin, krewRoot: krewRoot, env: []string{
		"HOME=" + t.TempDir(),
		"KREW_ROOT=" + krewRoot,
		"KREW_NO_UPGRADE_CHECK=1",
		"KUBECONFIG=" + os.DevNull,
		"PATH=" + w.bin + string(os.PathListSeparator) + filepath.Join(krewRoot, "bin"),
	}}
}

// linked is where krew links the plugin.
func (u user) linked() string { return filepath.Join(u.krewRoot, "bin", "kubectl-prod") }

// with is the user with more environment variables.
func (u user) with(env ...string) user {
	u.env = slices.Concat(u.env, env)
	return u
}

// run returns what a program says on both streams, and its exit code.
func (u user) run(program string, args ...string) (output string, code int) {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), filepath.Join(u.bin, program), args...)
	cmd.Env = u.env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		u.t.Fatalf("%s: %v", program, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (u user) mustRun(program string, args ...string) string {
	u.t.Helper()
	out, code := u.run(program, args...)
	if code != 0 {
		u.t.Fatalf("%s %q exited with %d:\n%s", program, args, code, out)
	}
	return out
}

func goBuild(t *testing.T, output, pkg string, flags ...string) {
	t.Helper()
	args := slices.Concat([]string{"build"}, flags, []string{"-o", output, pkg})
	build := exec.CommandContext(t.Context(), "go", args...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, out)
	}
}

// findKubectl is $KUBECTL, else the newest that test/cluster has built, else
// the one on PATH.
func findKubectl(t *testing.T) string {
	t.Helper()
	if kubectl := os.Getenv("KUBECTL"); kubectl != "" {
		return kubectl
	}
	if cache, err := os.UserCacheDir(); err == nil {
		built, _ := filepath.Glob(filepath.Join(cache, "kubectl-prod", "bin", "kubernetes-*", "kubectl"))
		if len(built) > 0 {
			return slices.Max(built)
		}
	}
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Fatal("no kubectl: set KUBECTL, or have test/cluster build one (go run . up)")
	}
	return kubectl
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}
