//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// TestDoctor follows a cluster from its first day: empty, with a shop in
// trouble, seen with few rights, with a broken API, and mended.
func TestDoctor(t *testing.T) {
	c := up(t, "e2e", "--audit")
	t.Run("a fresh cluster has no finding on the user's workloads", func(t *testing.T) {
		d, r := c.doctor(t, nil)
		if d.Origin.Workloads != 0 {
			t.Errorf("counts %d workloads in a fresh cluster", d.Origin.Workloads)
		}
		for _, f := range d.Findings {
			ofCluster := slices.Contains([]string{"Cluster", "Node"}, f.Object.Kind) || f.Object.String() == "namespace/default"
			if !f.Platform && !ofCluster {
				t.Errorf("finding on a fresh cluster: %+v", f)
			}
		}
		if r.code > 1 {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
	})
	t.Run("Pod Security admission's own fixtures get its verdicts", func(t *testing.T) { podSecurity(t, c) })
	shop, err := filepath.Abs(filepath.Join(root, "examples", "shop"))
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, "apply", "-f", shop)
	eventually(t, time.Minute, func() error { return c.podsReady(t, "shop")() })
	t.Run("the shop's mistakes are found", func(t *testing.T) { findsTheShop(t, c) })
	t.Run("the screen names the worst first and what to type next", func(t *testing.T) { showsTheShop(t, c) })
	t.Run("every format is read by what reads such files", func(t *testing.T) { outputs(t, c) })
	t.Run("the page works in a browser", func(t *testing.T) { browse(t, c) })
	t.Run("the incident screen tells what changed", func(t *testing.T) { tellsChanges(t, c) })
	t.Run("each kind is listed once and nothing is written", func(t *testing.T) { asksOnce(t, c) })
	t.Run("help, version and completion send nothing", func(t *testing.T) { sendsNothing(t, c) })
	t.Run("completion works through kubectl", func(t *testing.T) { completes(t, c) })
	t.Run("every command of the pages does what they say", func(t *testing.T) { runDocs(t, c) })
	t.Run("a user who may list pods alone gets a report", func(t *testing.T) { podsAlone(t, c) })
	t.Run("the role of --print-rbac is enough", func(t *testing.T) { printedRole(t, c) })
	t.Run("each verb does with its printed role and tells no secret", func(t *testing.T) { secrecy(t, c) })
	t.Run("a namespace narrows the run", func(t *testing.T) { narrows(t, c) })
	t.Run("hostile objects are told safely", func(t *testing.T) { toldSafely(t, c) })
	t.Run("a broken aggregated API costs one line", func(t *testing.T) { brokenAPIService(t, c) })
	t.Run("the mended shop has nothing at warning or above", func(t *testing.T) { mended(t, c) })
}

// doctor runs `kubectl prod doctor -o json`; env overrides.
func (c *testCluster) doctor(t *testing.T, env []string, args ...string) (*report.Diagnosis, result) {
	t.Helper()
	r := c.kubectl(t, env, append([]string{"prod", "doctor", "-o", "json"}, args...)...)
	d := &report.Diagnosis{}
	if err := json.Unmarshal([]byte(r.stdout), d); err != nil {
		t.Fatalf("exit code %d, no JSON: %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	return d, r
}

func has(d *report.Diagnosis, practice, object string) bool {
	return slices.ContainsFunc(d.Findings, func(f report.Finding) bool {
		return f.Practice == practice && f.Object.String() == object
	})
}

func findsTheShop(t *testing.T, c *testCluster) {
	d, r := c.doctor(t, nil)
	if r.code != 1 {
		t.Errorf("exit code %d, want 1: there are critical findings", r.code)
	}
	for _, want := range []struct{ practice, object string }{
		{"memory-limit-unset", "deployment.apps/frontend"},
		{"zone-label-deprecated", "deployment.apps/frontend"},
		{"network-policy-missing", "namespace/shop"},
		{"pod-security-label-unset", "namespace/shop"},
	} {
		if !has(d, want.practice, want.object) {
			t.Errorf("%s was not found on %s", want.practice, want.object)
		}
	}
	onlyPlanted(t, d)
	for _, f := range d.Findings {
		if slices.Contains([]string{"ReplicaSet", "Pod"}, f.Object.Kind) && f.Object.Namespace == "shop" {
			t.Errorf("finding on a child instead of its owner: %+v", f)
		}
	}
	if d.Score.Percent == nil || *d.Score.Percent == 100 || d.Score.Critical < 5 {
		t.Errorf("the score is %+v for a shop in trouble", d.Score)
	}
	for _, n := range d.NotChecked {
		// A practice's own word, with a reason; and simulated nodes have no kubelet.
		if n.State != "not judged" && !strings.HasPrefix(n.Subject, "nodes/proxy") {
			t.Errorf("not checked: %+v", n)
		}
	}
}

// onlyPlanted holds what is found on the running shop, at warning or above, to
// examples/planted.txt: all of that, and nothing else but what beside names.
func onlyPlanted(t *testing.T, d *report.Diagnosis, beside ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "examples", "planted.txt"))
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSuffix(strings.TrimSpace(line), " running"); line != "" && line[0] != '#' {
			missing[line] = true
		}
	}
	wanted := maps.Clone(missing)
	for _, f := range d.Findings {
		ofShop := slices.Contains([]string{"shop", "default"}, f.Object.Namespace) || f.Object.Kind == "Namespace"
		line := fmt.Sprintf("%s %s %s/%s", f.Practice, f.Object.Kind, f.Object.Namespace, f.Object.Name)
		if ofShop && !f.Platform && f.Severity.AtLeast(report.Warning) && !wanted[line] && !slices.Contains(beside, line) {
			t.Errorf("%s is found, and was not planted: %s", line, f.Message)
		}
		delete(missing, line)
	}
	for line := range missing {
		t.Errorf("%s was planted, and is not found", line)
	}
}

func showsTheShop(t *testing.T, c *testCluster) {
	r := c.kubectl(t, nil, "prod", "doctor")
	t.Logf("kubectl prod doctor\n%s", r.stdout)
	lines := strings.Split(r.stdout, "\n")
	if !strings.HasPrefix(lines[0], "context ") || !strings.Contains(lines[1], "score ") || !strings.HasPrefix(lines[4], "critical") {
		t.Errorf("the first lines are\n%s", strings.Join(lines[:5], "\n"))
	}
	if len(lines) > 50 {
		t.Errorf("%d lines do not fit a screen", len(lines))
	}
	if !strings.Contains(r.stdout, "kubectl prod doctor explain ") {
		t.Error("no next command is named")
	}
	if r.stderr != "" {
		t.Errorf("stderr off a terminal: %s", r.stderr)
	}
}

func tellsChanges(t *testing.T, c *testCluster) {
	c.must(t, "set", "image", "deployment/cart", "cart=prod.test/web:1.1", "-n", "shop")
	label := 0
	eventually(t, time.Minute, func() error {
		// Within the second in which it was made, a change cannot be told apart.
		label++
		c.must(t, "label", "--overwrite", "deployment/worker", fmt.Sprintf("seen=%d", label), "-n", "shop")
		d, _ := c.doctor(t, nil, "--now")
		told := map[string]bool{}
		for _, change := range d.Changes {
			told[change.Object.String()+" "+change.What] = true
		}
		for _, want := range []string{"deployment.apps/cart changed", "deployment.apps/cart rolled out, revision 2", "deployment.apps/worker changed"} {
			if !told[want] {
				return errNotYet(d.Changes)
			}
		}
		for _, f := range d.Findings {
			if !f.Now {
				t.Errorf("--now tells of what does not fail now: %+v", f)
			}
		}
		if !slices.ContainsFunc(d.Events, func(e report.EventGroup) bool {
			return e.Reason == "FailedGetScale" && e.Object.String() == "horizontalpodautoscaler.autoscaling/frontend"
		}) {
			return errNotYet(d.Events)
		}
		return nil
	})
}

func asksOnce(t *testing.T, c *testCluster) {
	recorder := c.record(t)
	c.doctor(t, []string{"KUBECONFIG=" + recorder.kubeconfig})
	lists := recorder.lists()
	if len(lists) < 15 {
		t.Errorf("listed %d kinds only: %v", len(lists), lists)
	}
	for path, times := range lists {
		if strings.HasSuffix(path, "/secrets") && times == 2 {
			continue // the certificates of TLS secrets, and the others' metadata
		}
		if times != 1 {
			t.Errorf("%s was listed %d times", path, times)
		}
	}
	for _, request := range recorder.all() {
		if !strings.HasPrefix(request, "GET ") {
			t.Errorf("doctor wrote: %s", request)
		}
		if strings.Contains(request, "/secrets") && !strings.Contains(request, "fieldSelector=type%3Dkubernetes.io%2Ftls") && !strings.Contains(request, "fieldSelector=type%21%3Dkubernetes.io%2Ftls") {
			t.Errorf("asked for secrets: %s", request)
		}
	}
	t.Logf("%d requests, %d lists", len(recorder.all()), len(lists))
}

func sendsNothing(t *testing.T, c *testCluster) {
	recorder := c.record(t)
	env := []string{"KUBECONFIG=" + recorder.kubeconfig}
	for _, args := range [][]string{
		{"prod"}, {"prod", "--help"}, {"prod", "doctor", "--help"}, {"prod", "version"}, {"prod", "options"},
		{"prod", "doctor", "list"}, {"prod", "doctor", "explain", "restart-loop"}, {"prod", "completion", "bash"},
	} {
		if r := c.kubectl(t, env, args...); r.code != 0 {
			t.Errorf("kubectl %v: exit code %d\n%s", args, r.code, r.stderr)
		}
	}
	if sent := recorder.all(); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
}

func completes(t *testing.T, c *testCluster) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"prod", "doctor", "--check", "memory-l"}, "memory-limit-unset\t"},
		{[]string{"prod", "doctor", "explain", "restart"}, "restart-loop\t"},
		{[]string{"prod", "doctor", "-n", "sh"}, "shop\n"},
		{[]string{"prod", "do"}, "doctor\t"},
	} {
		out := c.must(t, append([]string{"__complete"}, test.args...)...)
		if !strings.Contains(out, test.want) {
			t.Errorf("kubectl __complete %v offers\n%s", test.args, out)
		}
	}
}

func podsAlone(t *testing.T, c *testCluster) {
	c.must(t, "create", "serviceaccount", "limited", "-n", "shop")
	c.must(t, "create", "clusterrole", "pods-alone", "--verb=list", "--resource=pods")
	c.must(t, "create", "clusterrolebinding", "pods-alone", "--clusterrole=pods-alone", "--serviceaccount=shop:limited")
	as := []string{"--as", "system:serviceaccount:shop:limited"}
	d, r := c.doctor(t, nil, as...)
	if r.code > 1 {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	if !has(d, "memory-limit-unset", "deployment.apps/frontend") {
		t.Errorf("the pods' own findings are missing, or not on their owner: %+v", d.Findings)
	}
	forbidden := 0
	for _, n := range d.NotChecked {
		if n.State == "forbidden" {
			forbidden++
		}
	}
	if forbidden < 5 {
		t.Errorf("only %d kinds are told as forbidden: %+v", forbidden, d.NotChecked)
	}
	for _, p := range d.Practices {
		if p.ID == "network-policy-missing" && p.Checked {
			t.Error("network policies count as checked, and could not be read")
		}
	}
	if _, r := c.doctor(t, nil, append(as, "--require-complete")...); r.code != 2 {
		t.Errorf("exit code %d under --require-complete, want 2", r.code)
	}
	if r := c.kubectl(t, nil, "prod", "doctor", "--as", "nobody"); r.code != 2 || !strings.Contains(r.stderr, "nothing could be read") || r.stdout != "" {
		t.Errorf("a user without rights: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func printedRole(t *testing.T, c *testCluster) {
	manifest := filepath.Join(t.TempDir(), "role.yaml")
	writeFile(t, manifest, c.must(t, "prod", "doctor", "--print-rbac"))
	c.must(t, "apply", "-f", manifest)
	c.must(t, "create", "clusterrolebinding", "doctor", "--clusterrole=kubectl-prod-doctor", "--serviceaccount=shop:doctor")
	d, r := c.doctor(t, nil, "--as", "system:serviceaccount:shop:doctor")
	for _, n := range d.NotChecked {
		if n.State == "forbidden" {
			t.Errorf("%s is forbidden: %s", n.Subject, n.Reason)
		}
	}
	if r.code > 1 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

func narrows(t *testing.T, c *testCluster) {
	recorder := c.record(t)
	d, _ := c.doctor(t, []string{"KUBECONFIG=" + recorder.kubeconfig}, "-n", "shop")
	for _, f := range d.Findings {
		if f.Object.Namespace != "shop" && f.Object.Name != "shop" {
			t.Errorf("finding outside the namespace: %+v", f)
		}
	}
	for path := range recorder.lists() {
		if strings.HasSuffix(strings.TrimSpace(path), "/pods") && !strings.Contains(path, "/namespaces/shop/") {
			t.Errorf("asked for %s", path)
		}
	}
	r := c.kubectl(t, nil, "prod", "doctor", "-n", "shopp")
	if r.code != 2 || !strings.Contains(r.stderr, `namespace "shopp" does not exist`) || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
}

const brokenAPI = `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.broken.example.com}
spec:
  group: broken.example.com
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: nowhere, namespace: default}
`

func brokenAPIService(t *testing.T, c *testCluster) {
	manifest := filepath.Join(t.TempDir(), "broken.yaml")
	writeFile(t, manifest, brokenAPI)
	c.must(t, "apply", "-f", manifest)
	defer c.must(t, "delete", "-f", manifest)
	before, _ := c.doctor(t, nil)
	eventually(t, time.Minute, func() error {
		d, r := c.doctor(t, nil)
		if r.code > 1 {
			t.Fatalf("exit code %d\n%s", r.code, r.stderr)
		}
		var told []report.NotChecked
		for _, n := range d.NotChecked {
			if strings.Contains(n.Subject, "broken.example.com") {
				told = append(told, n)
			}
		}
		if len(d.Findings) < len(before.Findings) {
			t.Errorf("%d findings, and %d before the API broke", len(d.Findings), len(before.Findings))
		}
		if len(told) != 1 {
			return errNotYet(told)
		}
		return nil
	})
}

func mended(t *testing.T, c *testCluster) {
	fixed, err := filepath.Abs(filepath.Join(root, "examples", "shop-fixed"))
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, "apply", "-f", fixed)
	namespace := "shop-fixed"
	eventually(t, time.Minute, func() error { return c.podsReady(t, namespace)() })
	d, r := c.doctor(t, nil, "-n", namespace, "--fail-on", "warning")
	for _, f := range d.Findings {
		if f.Severity != report.Info {
			t.Errorf("%s on %s: %s", f.Practice, f.Object, f.Message)
		}
	}
	if r.code != 0 {
		t.Errorf("exit code %d", r.code)
	}
}
