package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/harden"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// TestRemedies holds every remedy against the cases that fail its practice, as
// a running cluster and as manifests: what it proposes is written into the
// case, the pods follow as a rollout would have them, and all practices judge
// again. The finding must be gone, or every part that was not refused written;
// and no practice may fail that did not fail before, but for those that the
// remedy declares (LeadsTo). What was written or refused is kept in
// testdata/<id>/remedies.txt (-update writes it).
func TestRemedies(t *testing.T) {
	taken := rights{}
	for _, p := range All() {
		if p.Remedy == nil {
			continue
		}
		t.Run(p.ID, func(t *testing.T) {
			dir := filepath.Join("..", string(p.Chapter), "testdata", p.ID)
			var said strings.Builder
			written := false
			for _, file := range cases(t, dir, "fail") {
				asLive := ""
				for _, live := range []bool{true, false} {
					if (live && p.Remedy.ManifestsOnly) || (!live && p.LiveOnly) {
						continue
					}
					mode := map[bool]string{true: "live", false: "as manifests"}[live]
					var told strings.Builder
					written = mend(t, p, read(t, file, live), &told, taken) || written
					if !live && told.String() == asLive {
						told.Reset()
						told.WriteString("as live\n")
					}
					asLive = told.String()
					fmt.Fprintf(&said, "# %s, %s\n%s", filepath.Base(file), mode, told.String())
				}
			}
			if !written {
				t.Errorf("no case in %s/fail is mended", dir)
			}
			golden(t, filepath.Join(dir, "remedies.txt"), said.String())
		})
	}
	taken.hold(t, harden.Rules(nil, practice.Scope{}))
}

// rights are the verbs that writing the remedies to a cluster took, and taking
// them back, by resource.
type rights map[string]map[string]bool

func (w rights) note(c change.Change) {
	gvk := schema.FromAPIVersionAndKind(c.Object.APIVersion, c.Object.Kind)
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	verbs := w[plural.GroupResource().String()]
	if verbs == nil {
		verbs = map[string]bool{"get": true}
		w[plural.GroupResource().String()] = verbs
	}
	if c.Create != nil {
		verbs["create"], verbs["delete"] = true, true
	}
	verbs["patch"] = true // what was made may be added to
}

// hold holds the printed role to what was written: all of it, and no more. Pods
// are tried, and none is written by a remedy.
func (w rights) hold(t *testing.T, rules []rbacv1.PolicyRule) {
	t.Helper()
	allowed := rights{}
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			verbs := map[string]bool{}
			for _, verb := range rule.Verbs {
				verbs[verb] = true
			}
			if verbs["patch"] {
				allowed[schema.GroupResource{Group: rule.APIGroups[0], Resource: resource}.String()] = verbs
			}
		}
	}
	for resource, verbs := range w {
		if !maps.Equal(verbs, allowed[resource]) {
			t.Errorf("%s: remedies take %v, and the role allows %v", resource, verbs, allowed[resource])
		}
	}
	for resource := range allowed {
		if w[resource] == nil && resource != "daemonsets.apps" { // which are mended as Deployments are, and have no case
			t.Errorf("the role allows to write %s, and no remedy does", resource)
		}
	}
}

func TestEveryRemedyIsDeclaredInFull(t *testing.T) {
	severity := map[string]report.Severity{}
	for _, p := range All() {
		severity[p.ID] = p.Severity
	}
	for _, p := range All() {
		if p.Remedy == nil {
			continue
		}
		if p.Remedy.Does == "" || strings.HasSuffix(p.Remedy.Does, ".") || p.Remedy.Propose == nil {
			t.Errorf("%s: a remedy says what it does, without a full stop, and proposes", p.ID)
		}
		for _, id := range p.Remedy.LeadsTo {
			if severity[id] != report.Info && id != "pod-security-level-loose" { // which tells of what is possible
				t.Errorf("%s: LeadsTo may name practices of severity info, and %s is %q", p.ID, id, severity[id])
			}
		}
	}
}

// mend writes for each finding of a practice in a case what its remedy
// proposes, and judges again. It reports whether anything was written.
func mend(t *testing.T, p practice.Practice, start trial, said *strings.Builder, taken rights) bool {
	t.Helper()
	written := false
	done := map[string]bool{}
	read := slices.Concat(p.Needs, p.Judges, p.Uses, p.Remedy.Uses)
	findings := p.Verdict(start.snapshot(t)).Findings
	if len(findings) > 0 && start.fails == nil {
		start.fails = start.failing(t)
	}
	for _, finding := range findings {
		proposal := p.Remedy.Propose(start.snapshot(t), finding)
		entry := fmt.Sprintf("%s/%s %s: %s\n", strings.ToLower(finding.Object.Kind), finding.Object.Name, finding.Path, finding.Message)
		after, refused := start, 0
		var told strings.Builder
		for _, part := range proposal.Each() {
			if part.Refused != "" {
				refused++
				fmt.Fprintf(&told, "  refused: %s\n", part.Refused)
				continue
			}
			if len(part.Changes) == 0 {
				t.Errorf("%sproposes nothing and does not say why", entry)
			}
			fmt.Fprintf(&told, "  why: %s\n", part.Why)
			if part.Risk != "" {
				fmt.Fprintf(&told, "  risk: %s\n", part.Risk)
			}
			for _, c := range part.Changes {
				if kind := workloadKinds()[c.Object.Kind]; c.Create == nil && start.live && kind != "" && !slices.Contains(read, kind) {
					t.Errorf("%sit writes a %s, and does not have them read: with --fix %s alone there are none", entry, c.Object.Kind, p.ID)
				}
				if start.live {
					taken.note(c)
				}
				told.WriteString(spelled(t, c))
				after = after.with(t, c)
			}
			written = true
		}
		if done[told.String()] { // several findings that one change mends
			fmt.Fprintf(said, "%s  as above\n", entry)
		} else {
			done[told.String()] = true
			said.WriteString(entry + told.String())
		}
		if refused < len(proposal.Each()) {
			after.judge(t, p, start, finding, refused > 0)
		}
	}
	return written
}

// workloadKinds are the kinds to read of what has a pod template that is edited.
func workloadKinds() map[string]cluster.Kind {
	return map[string]cluster.Kind{
		"Deployment": cluster.Deployments, "StatefulSet": cluster.StatefulSets, "DaemonSet": cluster.DaemonSets, "CronJob": cluster.CronJobs,
	}
}

// spelled is a change as it is kept in the golden file.
func spelled(t *testing.T, c change.Change) string {
	t.Helper()
	var b strings.Builder
	if c.Create != nil {
		body, err := yaml.Marshal(c.Create)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "  creates %s\n    %s\n", c.Object, strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "\n    "))
	}
	for _, edit := range c.Edits {
		if edit.Value == nil {
			fmt.Fprintf(&b, "  %s: removes %s\n", c.Object, edit.Path)
			continue
		}
		value, err := yaml.Marshal(edit.Value)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSpace(string(value))
		if strings.Contains(text, "\n") {
			text = "\n    " + strings.ReplaceAll(text, "\n", "\n    ")
		}
		fmt.Fprintf(&b, "  %s: %s = %s\n", c.Object, edit.Path, text)
	}
	return b.String()
}

// trial is a case: its objects, and whether they are taken for a cluster.
type trial struct {
	live    bool
	objects []*unstructured.Unstructured
	loaded  **cluster.Snapshot
	fails   map[string]string // all findings, once they were asked for
}

func read(t *testing.T, file string, live bool) trial {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	start := trial{live: live, loaded: new(*cluster.Snapshot)}
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		obj := &unstructured.Unstructured{}
		if err := decoder.Decode(&obj.Object); errors.Is(err, io.EOF) {
			return start
		} else if err != nil {
			t.Fatal(err)
		}
		if obj.IsList() {
			t.Fatalf("%s: a case holds no List", file)
		}
		if len(obj.Object) > 0 {
			start.objects = append(start.objects, obj)
		}
	}
}

// snapshot reads the objects as doctor reads them.
func (c trial) snapshot(t *testing.T) *cluster.Snapshot {
	t.Helper()
	if *c.loaded != nil {
		return *c.loaded
	}
	var text bytes.Buffer
	for _, obj := range c.objects {
		data, err := obj.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	file := filepath.Join(t.TempDir(), "case.json")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s, errs := cluster.Manifests{Filenames: []string{file}, Namespace: "default", Time: testTime(), AsLive: c.live}.Load(t.Context())
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	*c.loaded = s
	return s
}

// with is the case after a change, and after the rollout that follows from it.
func (c trial) with(t *testing.T, made change.Change) trial {
	t.Helper()
	after := trial{live: c.live, loaded: new(*cluster.Snapshot)}
	for _, obj := range c.objects {
		after.objects = append(after.objects, obj.DeepCopy())
	}
	at := slices.IndexFunc(after.objects, func(obj *unstructured.Unstructured) bool { return names(made.Object, obj) })
	switch {
	case made.Create != nil && at >= 0:
		t.Errorf("%s is to be created, and is there", made.Object)
	case made.Create != nil:
		after.objects = append(after.objects, made.Body())
	case at < 0:
		t.Errorf("%s is to be edited, and is not there", made.Object)
	default:
		if err := made.ApplyTo(after.objects[at]); err != nil {
			t.Error(err)
		}
		if w := c.snapshot(t).WorkloadByRef(made.Object); w != nil {
			after.rollOut(t, w.Pods, after.objects[at])
		}
	}
	return after
}

func names(ref cluster.Ref, obj *unstructured.Unstructured) bool {
	group, _, _ := strings.Cut(ref.APIVersion, "/")
	namespace := obj.GetNamespace()
	if namespace == "" && ref.Namespace != "" {
		namespace = "default"
	}
	return obj.GetKind() == ref.Kind && obj.GetName() == ref.Name && namespace == ref.Namespace && strings.HasPrefix(obj.GetAPIVersion()+"/", group+"/")
}

// rollOut gives the pods of a workload its new template, in the place of the
// scheduler and the kubelet: spread over the nodes where the template asks for
// it, started anew, and as the user that it sets.
func (c trial) rollOut(t *testing.T, pods []*cluster.Pod, owner *unstructured.Unstructured) {
	t.Helper()
	template, found, err := unstructured.NestedMap(owner.Object, "spec", "template", "spec")
	if err != nil || !found {
		return
	}
	var nodes []string
	byZone := map[string][]string{}
	for _, obj := range c.objects {
		if obj.GetKind() == "Node" {
			zone := obj.GetLabels()[corev1.LabelTopologyZone]
			byZone[zone] = append(byZone[zone], obj.GetName())
		}
	}
	for i := 0; len(byZone) > 0 && i < len(c.objects); i++ {
		for _, zone := range slices.Sorted(maps.Keys(byZone)) {
			if i < len(byZone[zone]) {
				nodes = append(nodes, byZone[zone][i])
			}
		}
	}
	for i, pod := range pods {
		at := slices.IndexFunc(c.objects, func(obj *unstructured.Unstructured) bool {
			return names(cluster.RefOf("v1", "Pod", &pod.ObjectMeta), obj)
		})
		spec := runtime.DeepCopyJSON(template)
		if spec["nodeName"] = pod.Spec.NodeName; template["topologySpreadConstraints"] != nil && len(nodes) > 0 {
			spec["nodeName"] = nodes[i%len(nodes)]
		}
		c.objects[at].Object["spec"] = spec
		statuses, _, _ := unstructured.NestedSlice(c.objects[at].Object, "status", "containerStatuses")
		for i, status := range statuses {
			status, _ := status.(map[string]any)
			kept := map[string]any{"name": status["name"], "state": map[string]any{"running": map[string]any{}}}
			if status["user"] != nil {
				kept["user"] = status["user"]
			}
			if user := userOf(spec, status["name"]); user != nil {
				kept["user"] = map[string]any{"linux": map[string]any{"uid": user, "gid": user}}
			}
			statuses[i] = kept
		}
		if len(statuses) > 0 {
			if err := unstructured.SetNestedSlice(c.objects[at].Object, statuses, "status", "containerStatuses"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// userOf is the user that a pod's spec sets for a container; nil for none.
func userOf(spec map[string]any, container any) any {
	user, _, _ := unstructured.NestedFieldNoCopy(spec, "securityContext", "runAsUser")
	containers, _, _ := unstructured.NestedSlice(spec, "containers")
	for _, item := range containers {
		fields, _ := item.(map[string]any)
		if own, found, _ := unstructured.NestedFieldNoCopy(fields, "securityContext", "runAsUser"); found && fields["name"] == container {
			return own
		}
	}
	return user
}

// judge holds a mended case against how it was.
func (c trial) judge(t *testing.T, p practice.Practice, before trial, mended practice.Finding, inPart bool) {
	t.Helper()
	was, is := before.fails, c.failing(t)
	for _, finding := range p.Verdict(c.snapshot(t)).Findings {
		if finding.Object == mended.Object && finding.Path == mended.Path && finding.Severity == mended.Severity && (!inPart || finding.Message == mended.Message) {
			t.Errorf("%s %s: the remedy was written, and it still fails: %s", mended.Object, mended.Path, finding.Message)
		}
	}
	for failure, message := range is {
		id, _, _ := strings.Cut(failure, " ")
		if _, before := was[failure]; !before && !slices.Contains(p.Remedy.LeadsTo, id) {
			t.Errorf("the remedy for %s %s makes another practice fail: %s: %s", mended.Object, mended.Path, failure, message)
		}
	}
}

// failing are all findings of all practices, by practice and object.
func (c trial) failing(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, f := range practice.Evaluate(c.snapshot(t), All(), practice.Scope{}).Findings {
		all[fmt.Sprintf("%s %s/%s/%s", f.Practice, f.Object.Kind, f.Object.Namespace, f.Object.Name)] = f.Message
	}
	return all
}
