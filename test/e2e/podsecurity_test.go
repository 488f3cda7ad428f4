//go:build e2e

package e2e

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// podFixtures is how many pods the Pod Security admission module ships as its
// own test data.
const podFixtures = 4537

// podSecurity holds pss-baseline and pss-restricted to the fixtures of Pod
// Security admission as a real API server completes them: each is sent as a dry
// run, and what comes back is judged by the built plugin and by admission's own
// evaluator; of the newest version, also by the fixture's directory.
func podSecurity(t *testing.T, c *testCluster) {
	pods, passes := defaultedFixtures(t, c)
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(t.TempDir(), "pods.json")
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
	for _, pod := range pods {
		list.Items = append(list.Items, *pod)
	}
	data, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, manifest, string(data))
	d, r := c.doctor(t, nil, "-f", manifest, "--check", "pss-baseline,pss-restricted")
	if r.code > 1 {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	refused := map[string]bool{} // by the practice and the pod
	for _, f := range d.Findings {
		refused[f.Practice+" "+f.Object.Name] = true
	}
	disagree := 0
	for _, pod := range pods {
		baseline := refused["pss-baseline "+pod.Name]
		restricted := baseline || refused["pss-restricted "+pod.Name] // which tells only what baseline has not
		for level, got := range map[api.Level]bool{api.LevelBaseline: baseline, api.LevelRestricted: restricted} {
			latest := api.LevelVersion{Level: level, Version: api.LatestVersion()}
			want := !policy.AggregateCheckResults(evaluator.EvaluatePod(latest, &pod.ObjectMeta, &pod.Spec)).Allowed
			if newest := strings.HasPrefix(pod.Name, string(level)+"-v1.37-"); got != want || newest && got == passes[pod.Name] {
				disagree++
				t.Errorf("%s: by %s refused is %v, and by admission %v", pod.Name, level, got, want)
			}
		}
	}
	if len(pods) != podFixtures || d.Origin.Workloads != podFixtures {
		t.Errorf("judged %d of %d fixtures, want %d", d.Origin.Workloads, len(pods), podFixtures)
	}
	t.Logf("%d fixtures after server defaulting: %d disagreements", len(pods), disagree)
}

// defaultedFixtures are the fixtures as the API server completes them, each
// named after its path, and whether its directory says that it passes.
func defaultedFixtures(t *testing.T, c *testCluster) ([]*corev1.Pod, map[string]bool) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, "create", "namespace", "fixtures")
	defer c.must(t, "delete", "namespace", "fixtures")
	eventually(t, time.Minute, func() error { // pods are refused until it is there
		_, err := client.CoreV1().ServiceAccounts("fixtures").Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "test", "testdata")
	var pods []*corev1.Pod
	passes := map[string]bool{}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pod := &corev1.Pod{}
		if err := yaml.Unmarshal(data, pod); err != nil {
			return err
		}
		pod.Namespace = "fixtures"
		pod.Name = strings.NewReplacer("/", "-", ".yaml", "", "_", "-").Replace(filepath.ToSlash(relative))
		passes[pod.Name] = strings.Contains(filepath.ToSlash(relative), "/pass/")
		pods = append(pods, pod)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	var group errgroup.Group
	group.SetLimit(20)
	for i := range pods {
		group.Go(func() error {
			completed, err := client.CoreV1().Pods("fixtures").Create(t.Context(), pods[i], metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if apierrors.IsInvalid(err) && !passes[pods[i].Name] {
				refused.Add(1) // by validation, before admission looks: it is judged as written
				return nil
			}
			if err != nil {
				t.Errorf("%s: %v", pods[i].Name, err)
				return nil
			}
			completed.ManagedFields = nil
			pods[i] = completed
			return nil
		})
	}
	_ = group.Wait()
	t.Logf("%d of them are no valid pods any more", refused.Load())
	return pods, passes
}
