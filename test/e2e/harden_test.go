//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// TestHarden follows harden over the shop: what it would do, a person's answers
// at a terminal, everything at once and back, and whatever comes between.
func TestHarden(t *testing.T) {
	c := up(t, "e2e-harden")
	shop, err := filepath.Abs(filepath.Join(root, "examples", "shop"))
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, "apply", "-f", shop)
	eventually(t, time.Minute, c.podsReady(t, "shop"))
	for _, deployment := range []string{"cart", "frontend", "payments", "worker", "catalogue"} {
		c.must(t, "rollout", "status", "deployment/"+deployment, "-n", "shop", "--timeout=60s")
	}
	h := &hardened{testCluster: c, state: t.TempDir()}
	t.Run("off a terminal nothing is written and the plan is printed", h.writesNothingUnasked)
	t.Run("a person's answers are heeded", h.heedsAnswers)
	t.Run("an edit that cannot be scheduled is rolled back", h.rollsBack)
	t.Run("somebody who is quicker is seen", h.seesOthers)
	t.Run("a kill around the write is found by the next run", h.survivesKills)
	t.Run("what admission refuses is not written", h.heedsAdmission)
	t.Run("what something else owns gets a patch for Git", h.leavesOwners)
	t.Run("patches for Git build and mend what they are for", h.writesForGit)
	t.Run("missing rights are told before the first write", h.tellsRights)
	t.Run("everything at once, nothing twice, and all of it back", h.allAndBack)
}

// hardened is the cluster with a journal of its own.
type hardened struct {
	*testCluster
	state string
}

func (h *hardened) harden(t *testing.T, args ...string) result {
	t.Helper()
	return h.kubectl(t, []string{"XDG_STATE_HOME=" + h.state}, append([]string{"prod", "harden"}, args...)...)
}

// plan is harden's result as data.
func (h *hardened) plan(t *testing.T, args ...string) (*report.Hardening, result) {
	t.Helper()
	r := h.harden(t, append(args, "-o", "json")...)
	plan := &report.Hardening{}
	if err := json.Unmarshal([]byte(r.stdout), plan); err != nil {
		t.Fatalf("exit code %d, no JSON: %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	return plan, r
}

// specs are the specs, labels and names of all that harden may write, as bytes.
func (h *hardened) specs(t *testing.T) map[string]string {
	t.Helper()
	out := h.must(t, "get", "deploy,sts,ds,cronjob,pdb,hpa,netpol,limitrange,resourcequota,serviceaccount,namespace", "-A", "-o", "json")
	var list struct {
		Items []struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Namespace string            `json:"namespace"`
				Name      string            `json:"name"`
				Labels    map[string]string `json:"labels"`
			} `json:"metadata"`
			Spec json.RawMessage `json:"spec"`
		} `json:"items"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	specs := map[string]string{}
	for _, item := range list.Items {
		specs[item.Kind+" "+item.Metadata.Namespace+"/"+item.Metadata.Name] = fmt.Sprint(item.Metadata.Labels, string(item.Spec))
	}
	return specs
}

func sameSpecs(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, spec := range want {
		if got[name] != spec {
			t.Errorf("%s:\n%s\nwant\n%s", name, got[name], spec)
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("%s is left", name)
		}
	}
}

func (h *hardened) writesNothingUnasked(t *testing.T) {
	before := h.specs(t)
	plan, r := h.plan(t)
	if r.code != 1 || plan.Count(report.Proposed) < 10 || !strings.Contains(r.stderr, "nothing was written: there is no terminal") {
		t.Errorf("exit code %d, %d proposed: %s", r.code, plan.Count(report.Proposed), r.stderr)
	}
	for _, dryRun := range []string{"client", "server"} {
		if dry, r := h.plan(t, "--dry-run="+dryRun); r.code != 1 || dry.DryRun != dryRun || len(dry.Changes) != len(plan.Changes) {
			t.Errorf("--dry-run=%s: exit code %d, %d changes, want %d", dryRun, r.code, len(dry.Changes), len(plan.Changes))
		}
	}
	if strings.Contains(r.stdout, "s3cr3t") {
		t.Error("a password is in the output")
	}
	for _, change := range plan.Changes {
		if change.Object.Namespace == "kube-system" {
			t.Errorf("the platform's object is not left alone: %+v", change.Object)
		}
	}
	sameSpecs(t, h.specs(t), before)
	if entries, err := os.ReadDir(filepath.Join(h.state, "kubectl-prod", "harden")); err == nil && len(entries) > 0 {
		t.Errorf("the journal has %v", entries)
	}
}

func (h *hardened) heedsAnswers(t *testing.T) {
	before := h.specs(t)
	s := h.at(t, h.kubeconfig, nil, "deployment/cart", "-n", "shop", "--fix", "service-account-default,spread-unset,graceful-shutdown-missing", "--soak", "0s")
	s.await("change 1 of 3")
	s.answer("?")
	s.await("e  edit it first")
	s.answer("y")
	s.await("change 2 of 3")
	s.answer("")
	s.await("change 3 of 3")
	s.answer("y")
	s.await("written: shop/deployment.apps/cart")
	if code := s.end(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	eventually(t, 10*time.Second, func() error {
		if !strings.Contains(s.said(), "2 applied, 1 skipped") {
			return fmt.Errorf("no summary:\n%s", s.said())
		}
		return nil
	})
	if revision := h.must(t, "get", "deployment", "cart", "-n", "shop", "-o", `jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}`); revision != "2" {
		t.Errorf("two changes of one workload were not one rollout: revision %s", revision)
	}
	history := h.harden(t, "history")
	if !strings.Contains(history.stdout, "verified") || strings.Count(history.stdout, "\n") != 2 {
		t.Errorf("history:\n%s", history.stdout)
	}
	if r := h.harden(t, "undo", "--last"); r.code != 0 || !strings.Contains(r.stderr, "undone: shop/deployment.apps/cart") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	sameSpecs(t, h.specs(t), before)
	if r := h.harden(t, "undo", "--last"); r.code != 2 || !strings.Contains(r.stderr, "there is no change to this cluster to take back") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

func (h *hardened) rollsBack(t *testing.T) {
	before := h.specs(t)
	s := h.at(t, h.kubeconfig, []string{"EDITOR=sed -i 's/automountServiceAccountToken: .*/nodeSelector: {nowhere: here}/'", "KUBE_EDITOR="}, "deployment/cart", "-n", "shop", "--fix", "service-account-default", "--soak", "0s")
	s.answer("e")
	s.await("+        nowhere: here")
	s.answer("y")
	if code := s.end(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"Unschedulable", "rolled back: everything is as it was before", "1 rolled back"} {
		s.await(want)
	}
	sameSpecs(t, h.specs(t), before)
}

func (h *hardened) seesOthers(t *testing.T) {
	s := h.at(t, h.kubeconfig, nil, "deployment/worker", "-n", "shop", "--fix", "graceful-shutdown-missing,spread-unset", "--soak", "0s")
	s.await(prompt)
	h.must(t, "patch", "deployment", "worker", "-n", "shop", "--type=merge", "-p",
		`{"spec":{"template":{"spec":{"topologySpreadConstraints":[{"maxSkew":2,"topologyKey":"kubernetes.io/hostname","whenUnsatisfiable":"ScheduleAnyway"}]}}}}`)
	h.must(t, "rollout", "status", "deployment/worker", "-n", "shop", "--timeout=60s")
	s.answer("y")
	s.await("has been changed meanwhile; here it is anew")
	s.await("was last set by kubectl-patch")
	s.answer("n")
	if code := s.end(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	h.must(t, "patch", "deployment", "worker", "-n", "shop", "--type=json", "-p", `[{"op":"remove","path":"/spec/template/spec/topologySpreadConstraints"}]`)
	h.must(t, "rollout", "status", "deployment/worker", "-n", "shop", "--timeout=60s")
}

// survivesKills kills harden before its write reaches the server, and after.
func (h *hardened) survivesKills(t *testing.T) {
	for _, served := range []bool{false, true} {
		before := h.specs(t)
		recorder := h.record(t)
		var once sync.Once
		processes := make(chan *os.Process, 1)
		recorder.between = func(request *http.Request, serve func()) {
			if request.Method != http.MethodPatch || request.URL.Query().Has("dryRun") {
				serve()
				return
			}
			once.Do(func() {
				if served {
					serve()
				}
				_ = (<-processes).Kill()
			})
		}
		s := h.at(t, recorder.kubeconfig, nil, "deployment/cart", "-n", "shop", "--fix", "service-account-default", "--yes", "--soak", "0s")
		processes <- s.command.Process // kubectl becomes the plugin: the same process
		if code := s.end(); code != -1 {
			t.Fatalf("it was not killed: exit code %d\n%s", code, s.said())
		}
		if history := h.harden(t, "history"); !strings.Contains(history.stdout, "intended") {
			t.Errorf("the journal does not have the write:\n%s", history.stdout)
		}
		if !served {
			r := h.harden(t, "deployment/cart", "-n", "shop", "--fix", "graceful-shutdown-missing", "--yes", "--soak", "0s")
			if r.code != 0 || !strings.Contains(r.stderr, "which was interrupted: everything is as it was before it") {
				t.Errorf("exit code %d: %s", r.code, r.stderr)
			}
			if r := h.harden(t, "undo", "--last"); r.code != 0 {
				t.Errorf("exit code %d: %s", r.code, r.stderr)
			}
		} else {
			s := h.at(t, h.kubeconfig, nil, "deployment/cart", "-n", "shop", "--fix", "graceful-shutdown-missing", "--soak", "0s")
			s.await("was interrupted, and nobody has seen what came of it")
			if _, err := io.WriteString(s.tty, "u\n"); err != nil {
				t.Fatal(err)
			}
			s.await("undone: shop/deployment.apps/cart")
			s.answer("n")
			s.end()
		}
		sameSpecs(t, h.specs(t), before)
		h.must(t, "rollout", "status", "deployment/cart", "-n", "shop", "--timeout=60s")
	}
}

const denyWrites = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: harden-%[1]s}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments]}
  validations:
  - {expression: %[2]q, message: frozen until Monday}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: harden-%[1]s}
spec: {policyName: harden-%[1]s, validationActions: [Deny]}
`

func (h *hardened) heedsAdmission(t *testing.T) {
	before := h.specs(t)
	fix := []string{"deployment/cart", "-n", "shop", "--fix", "service-account-default", "--yes", "--soak", "0s"}
	h.must(t, "create", "quota", "small", "-n", "shop", "--hard=pods=1")
	eventually(t, 30*time.Second, func() error {
		plan, _ := h.plan(t, "deployment/cart", "-n", "shop", "--fix", "service-account-default")
		if !strings.Contains(plan.Changes[0].StateReason, "exceeded quota: small") {
			return errNotYet(plan.Changes[0].StateReason)
		}
		return nil
	})
	if plan, r := h.plan(t, fix...); r.code != 1 || plan.Changes[0].State != report.Refused {
		t.Errorf("exit code %d: %s %s", r.code, plan.Changes[0].State, plan.Changes[0].StateReason)
	}
	h.must(t, "delete", "quota", "small", "-n", "shop")

	// A policy that speaks up at the write alone, as a webhook with a state would.
	for name, expression := range map[string]string{"always": "false", "late": "request.dryRun == true"} {
		policy := filepath.Join(t.TempDir(), "policy.yaml")
		writeFile(t, policy, fmt.Sprintf(denyWrites, name, expression))
		h.must(t, "apply", "-f", policy)
		eventually(t, 30*time.Second, func() error {
			if r := h.kubectl(t, nil, "annotate", "deployment", "worker", "-n", "shop", "--overwrite", "probe="+fmt.Sprint(time.Now().UnixNano())); !strings.Contains(r.stderr, "frozen until Monday") {
				return errNotYet(r.stderr)
			}
			return nil
		})
		plan, r := h.plan(t, fix...)
		if c := plan.Changes[0]; r.code != 1 || c.State != report.Refused || !strings.Contains(c.StateReason, "frozen until Monday") {
			t.Errorf("%s: exit code %d: %s %s", name, r.code, c.State, c.StateReason)
		}
		h.must(t, "delete", "-f", policy)
		eventually(t, 30*time.Second, func() error {
			if r := h.kubectl(t, nil, "annotate", "deployment", "worker", "-n", "shop", "--overwrite", "probe-"); r.code != 0 {
				return errNotYet(r.stderr)
			}
			return nil
		})
	}
	sameSpecs(t, h.specs(t), before)
}

func (h *hardened) leavesOwners(t *testing.T) {
	h.must(t, "annotate", "deployment", "worker", "-n", "shop", "argocd.argoproj.io/tracking-id=shop:apps/Deployment:shop/worker")
	plan, r := h.plan(t, "deployment/worker", "-n", "shop", "--yes")
	if r.code != 1 || plan.Count(report.Applied) > 0 || len(plan.Changes) == 0 {
		t.Errorf("exit code %d: %+v", r.code, plan.Changes)
	}
	for _, c := range plan.Changes {
		if !strings.HasPrefix(c.StateReason, "Argo CD (annotation argocd.argoproj.io/tracking-id") || len(c.Writes) == 0 || !strings.Contains(c.Writes[0].Patch, "kind: ") {
			t.Errorf("%s: %s %+v", c.Practice, c.StateReason, c.Writes)
		}
	}
	h.must(t, "annotate", "deployment", "worker", "-n", "shop", "argocd.argoproj.io/tracking-id-")
}

// writesForGit writes patches of a live cluster, builds them with kubectl over the
// manifests that they are for, and judges what comes of it.
func (h *hardened) writesForGit(t *testing.T) {
	before := h.specs(t)
	const fixed = "graceful-shutdown-missing,spread-unset,service-account-default,pdb-missing"
	dir := t.TempDir()
	plan, r := h.plan(t, "-n", "shop", "--fix", fixed, "--out", dir)
	if r.code != 0 || len(plan.Changes) < 5 || !strings.Contains(r.stderr, "patches for") {
		t.Fatalf("exit code %d, %d changes: %s", r.code, len(plan.Changes), r.stderr)
	}
	for _, c := range plan.Changes {
		if len(c.Writes) == 0 || c.Writes[0].Patch == "" {
			t.Errorf("%s on %s: the report has no patch", c.Practice, c.Object)
		}
	}
	h.must(t, "kustomize", dir) // as it is
	base := filepath.Join(dir, "base")
	if err := os.CopyFS(base, os.DirFS(filepath.Join(root, "examples", "shop"))); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		t.Fatal(err)
	}
	resources := "resources:\n"
	for _, entry := range entries {
		resources += "- base/" + entry.Name() + "\n"
	}
	file := filepath.Join(dir, "kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.Replace(string(text), "resources:\n", resources, 1)
	if joined == string(text) {
		joined = string(text) + resources
	}
	writeFile(t, file, joined)
	built := filepath.Join(t.TempDir(), "built.yaml")
	writeFile(t, built, h.must(t, "kustomize", dir))
	h.must(t, "apply", "--dry-run=server", "-f", built)
	for _, of := range []struct {
		manifests string
		fails     bool
	}{{base, true}, {built, false}} {
		d, _ := h.doctor(t, nil, "-f", of.manifests, "--check", fixed)
		mended := 0
		for _, f := range d.Findings {
			if slices.ContainsFunc(plan.Changes, func(c report.HardenChange) bool { return c.Practice == f.Practice && c.Object.Name == f.Object.Name }) {
				mended++
			}
		}
		if (mended > 0) != of.fails {
			t.Errorf("of %s %d findings stand that are among the mended: %+v", of.manifests, mended, d.Findings)
		}
	}
	if alone := h.harden(t, "-n", "shop", "--fix", fixed, "-o", "kustomize"); alone.code != 1 || !strings.Contains(alone.stdout, "# kustomization.yaml") {
		t.Errorf("-o kustomize: exit code %d: %s", alone.code, alone.stderr)
	}
	sameSpecs(t, h.specs(t), before)
}

func (h *hardened) tellsRights(t *testing.T) {
	h.must(t, "create", "clusterrole", "reader", "--verb=get,list", "--resource=*.*")
	h.must(t, "create", "clusterrolebinding", "reader", "--clusterrole=reader", "--user=reader")
	plan, r := h.plan(t, "-n", "shop", "--fix", "service-account-default,pdb-missing", "--yes", "--as", "reader")
	if r.code != 1 || len(plan.Changes) == 0 || plan.Count(report.Refused) != len(plan.Changes) {
		t.Fatalf("exit code %d: %+v\n%s", r.code, plan.Changes, r.stderr)
	}
	for _, c := range plan.Changes {
		kind := strings.ToLower(c.Object.Kind) + ".batch"
		if c.Object.APIVersion == "apps/v1" {
			kind = strings.ToLower(c.Object.Kind) + ".apps"
		}
		want := "you may not patch " + kind + " in shop"
		if c.Practice == "pdb-missing" {
			want = "you may not create poddisruptionbudget.policy in shop, nor delete poddisruptionbudget.policy in shop"
		}
		if c.StateReason != want {
			t.Errorf("%s: %s", c.Practice, c.StateReason)
		}
	}
}

// allAndBack runs harden until it has nothing left, and takes it all back.
func (h *hardened) allAndBack(t *testing.T) {
	before := h.specs(t)
	scoreBefore, _ := h.doctor(t, nil)
	h.until(t, "--soak", "0s")
	scoreAfter, _ := h.doctor(t, nil)
	if *scoreAfter.Score.Percent <= *scoreBefore.Score.Percent {
		t.Errorf("doctor's score was %d and is %d", *scoreBefore.Score.Percent, *scoreAfter.Score.Percent)
	}
	t.Logf("doctor's score: %d before, %d after", *scoreBefore.Score.Percent, *scoreAfter.Score.Percent)
	h.eachReady(t)
	if r := h.harden(t, "undo", "--all"); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	sameSpecs(t, h.specs(t), before)
	h.eachReady(t)
}

// until runs harden --yes until it proposes nothing more.
func (h *hardened) until(t *testing.T, args ...string) {
	t.Helper()
	applied := 0
	for range 5 {
		plan, r := h.plan(t, append(args, "--yes")...)
		applied += plan.Count(report.Applied)
		for _, c := range plan.Changes {
			if c.State != report.Applied {
				t.Errorf("%s on %s: %s: %s", c.Practice, c.Object, c.State, c.StateReason)
			}
		}
		if len(plan.Changes) == 0 {
			t.Logf("%d changes applied; nothing safe was proposed for:", applied)
			for _, u := range plan.Unsafe {
				t.Logf("  %s on %s: %s", u.Practice, u.Object, u.Reason)
			}
			if r.code != 0 {
				t.Errorf("exit code %d with nothing left", r.code)
			}
			return
		}
		if t.Failed() {
			t.Fatalf("%s", r.stderr)
		}
	}
	t.Error("it proposes more and more")
}

// eachReady holds that all workloads have all their pods ready.
func (h *hardened) eachReady(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"deployment", "statefulset", "daemonset"} {
		for name := range strings.FieldsSeq(h.must(t, "get", kind, "-n", "shop", "-o", "name")) {
			if r := h.kubectl(t, nil, "rollout", "status", name, "-n", "shop", "--timeout=60s"); r.code != 0 {
				t.Errorf("%s: %s%s", name, r.stdout, r.stderr)
			}
		}
	}
}

// hardenWhileServing mends what serves where its containers really run, while
// its Services are asked all the time, and takes everything back.
func hardenWhileServing(t *testing.T, c *testCluster) {
	h := &hardened{testCluster: c, state: t.TempDir()}
	before, score := h.specs(t), *h.score(t)
	served := []string{"deployment/cart", "deployment/catalogue", "deployment/frontend", "-n", "shop", "--yes", "--soak", "1s"}
	// Pods without a preStop hook drop requests in any rollout: that is what this
	// practice is about, and its own rollout is the last one to.
	first, r := h.plan(t, append(served, "--fix", "graceful-shutdown-missing")...)
	if r.code != 0 || first.Count(report.Applied) != 3 {
		t.Fatalf("exit code %d: %+v\n%s", r.code, first.Changes, r.stderr)
	}
	prober := c.probe(t, "shop")
	applied := 3
	for run := 1; ; run++ {
		plan, r := h.plan(t, served...)
		if r.code > 1 {
			t.Fatalf("exit code %d: %s", r.code, r.stderr)
		}
		applied += plan.Count(report.Applied)
		for _, c := range plan.Changes {
			if c.State != report.Applied {
				t.Errorf("run %d: %s on %s: %s: %s", run, c.Practice, c.Object, c.State, c.StateReason)
			}
		}
		if plan.Count(report.Applied) == 0 {
			break
		}
		if run == 5 {
			t.Fatal("it proposes more and more")
		}
	}
	prober.end(t)
	if after := *h.score(t); after <= score {
		t.Errorf("doctor's score was %d and is %d", score, after)
	} else {
		t.Logf("%d changes applied; doctor's score: %d before, %d after", applied, score, after)
	}
	if r := h.harden(t, "undo", "--all"); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	sameSpecs(t, h.specs(t), before)
}

func (h *hardened) score(t *testing.T) *int {
	t.Helper()
	d, _ := h.doctor(t, nil, "-n", "shop")
	return d.Score.Percent
}

// brokenByHarden are edits that only a real kubelet shows to be wrong: each is
// rolled back.
func brokenByHarden(t *testing.T, c *testCluster) {
	h := &hardened{testCluster: c, state: t.TempDir()}
	before := h.specs(t)
	const opening = "EDITOR=sed -i 's/automountServiceAccountToken: .*/"
	for name, test := range map[string]struct{ edit, want string }{
		"an image that needs root":   {"securityContext: {runAsNonRoot: true, runAsUser: 0}", "CreateContainerConfigError"},
		"a memory limit that is low": {`containers: [{name: cart, image: prod.test\/hog:1.0, resources: {limits: {memory: 16Mi}, requests: {memory: 16Mi}}, readinessProbe: null}]`, "OOMKilled"},
	} {
		t.Run(name, func(t *testing.T) {
			s := h.at(t, h.kubeconfig, []string{opening + test.edit + "/'", "KUBE_EDITOR="}, "deployment/cart", "-n", "shop", "--fix", "service-account-default", "--soak", "2s", "--timeout", "90s")
			s.answer("e")
			s.answer("y")
			s.await(test.want)
			if code := s.end(); code != 1 {
				t.Errorf("exit code %d\n%s", code, s.said())
			}
			s.await("1 rolled back")
			t.Logf("%s", s.said())
			sameSpecs(t, h.specs(t), before)
			c.must(t, "rollout", "status", "deployment/cart", "-n", "shop", "--timeout=60s")
		})
	}
}
