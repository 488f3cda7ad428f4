package security

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// fixtureCount is how many pods the Pod Security admission module of go.mod
// ships as its own test data; fewer would mean that some are not seen.
const fixtureCount = 4537

// fixture is one of these pods: what a level, as of a version, says of it.
type fixture struct {
	level   api.Level
	version api.Version
	passes  bool
	ref     cluster.Ref
	pod     *corev1.Pod // as admission sees it
}

// TestEveryFixtureOfPodSecurityAdmissionGetsItsVerdict holds doctor to the
// fixtures that the API server's own admission is tested with: in a namespace
// that enforces the fixture's level and version, pod-security-violation says
// what the fixture's directory says; and pss-baseline and pss-restricted say
// what admission would say by the latest version.
func TestEveryFixtureOfPodSecurityAdmissionGetsItsVerdict(t *testing.T) {
	fixtures, s := loadFixtures(t)
	violations := found(s, PodSecurityViolation())
	baseline, restricted := found(s, PSSBaseline()), found(s, PSSRestricted())
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	admits := func(level api.Level, pod *corev1.Pod) bool {
		latest := api.LevelVersion{Level: level, Version: api.LatestVersion()}
		return policy.AggregateCheckResults(evaluator.EvaluatePod(latest, &pod.ObjectMeta, &pod.Spec)).Allowed
	}
	newest := 0
	for _, f := range fixtures {
		if violations[f.ref] == f.passes {
			t.Errorf("pod-security-violation on %s %s: %v, and %s %s says %v", f.ref.Namespace, f.ref.Name, violations[f.ref], f.level, f.version.String(), !f.passes)
		}
		if want := !admits(api.LevelBaseline, f.pod); baseline[f.ref] != want {
			t.Errorf("pss-baseline on %s %s: %v, and admission says %v", f.ref.Namespace, f.ref.Name, baseline[f.ref], want)
		}
		// pss-restricted tells only what pss-baseline has not told.
		if want := !admits(api.LevelRestricted, f.pod); (baseline[f.ref] || restricted[f.ref]) != want {
			t.Errorf("pss-restricted on %s %s: %v, and admission says %v", f.ref.Namespace, f.ref.Name, restricted[f.ref], want)
		}
		if f.version.Minor() == 37 { // as of the latest version, the directories are the practices' verdicts
			newest++
			refused := baseline[f.ref] || f.level == api.LevelRestricted && restricted[f.ref]
			if refused == f.passes {
				t.Errorf("%s %s: refused is %v, and its directory says %v", f.ref.Namespace, f.ref.Name, refused, !f.passes)
			}
		}
	}
	if len(fixtures) != fixtureCount || newest == 0 {
		t.Errorf("judged %d fixtures, %d of them of the newest version; want %d", len(fixtures), newest, fixtureCount)
	}
	t.Logf("%d fixtures judged, %d of them of the newest version", len(fixtures), newest)
}

// loadFixtures reads all fixtures into one Snapshot, those of a level and
// version in a namespace that enforces it.
func loadFixtures(t *testing.T) ([]fixture, *cluster.Snapshot) {
	t.Helper()
	dir := filepath.Join(moduleDir(t, "k8s.io/pod-security-admission"), "test", "testdata")
	var fixtures []fixture
	var manifests bytes.Buffer
	namespaces := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		parts := strings.Split(filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator))), "/")
		level, version, verdict := parts[0], parts[1], parts[2]
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f := fixture{level: api.Level(level), passes: verdict == "pass", pod: &corev1.Pod{}}
		if f.version, err = api.ParseVersion(version); err != nil {
			return err
		}
		if err := yaml.Unmarshal(data, f.pod); err != nil {
			return err
		}
		manifest := f.pod.DeepCopy() // as it is written
		complete(&f.pod.Spec)
		f.pod.Namespace = level + "-" + strings.ReplaceAll(version, ".", "-")
		f.pod.Name = verdict + "-" + f.pod.Name
		manifest.Namespace, manifest.Name = f.pod.Namespace, f.pod.Name
		f.ref = cluster.RefOf("v1", "Pod", &f.pod.ObjectMeta)
		fixtures = append(fixtures, f)
		if !namespaces[f.pod.Namespace] {
			namespaces[f.pod.Namespace] = true
			fmt.Fprintf(&manifests, "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n  labels: {%s: %s, %s: %s}\n",
				f.pod.Namespace, api.EnforceLevelLabel, level, api.EnforceVersionLabel, version)
		}
		out, err := yaml.Marshal(manifest)
		fmt.Fprintf(&manifests, "---\n%s", out)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s, errs := cluster.Manifests{Filenames: []string{"-"}, Stdin: &manifests, AsLive: true, Time: time.Now()}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return fixtures, s
}

// complete sets what the API server sets before admission looks, as far as a
// Pod Security check reads it: a volume without a source is an emptyDir
// (kubernetes: pkg/apis/core/v1/defaults.go, SetDefaults_Volume). The same on a
// real API server, all defaults included, is test/e2e's.
func complete(spec *corev1.PodSpec) {
	for i := range spec.Volumes {
		if spec.Volumes[i].VolumeSource == (corev1.VolumeSource{}) {
			spec.Volumes[i].EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
}

// moduleDir is where a module that go.mod names is unpacked.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// found are the objects on which a practice has a finding.
func found(s *cluster.Snapshot, p practice.Practice) map[cluster.Ref]bool {
	on := map[cluster.Ref]bool{}
	for _, f := range p.Check(s).Findings {
		on[f.Object] = true
	}
	return on
}
