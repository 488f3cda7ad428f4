package practice

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// shop has two workloads of the user's and one of the platform's.
const shop = `
apiVersion: v1
kind: Pod
metadata: {name: good, namespace: shop, labels: {app: good}}
spec: {containers: [{name: app, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: shop, labels: {app: bad}}
spec: {containers: [{name: app, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: kube-system, labels: {app: bad}}
spec: {containers: [{name: app, image: a}]}
`

func read(t *testing.T, live bool) *cluster.Snapshot {
	t.Helper()
	s, errs := cluster.Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(shop), Time: time.Unix(0, 0), AsLive: live}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return s
}

// badPods finds fault with every pod named bad.
func badPods(id string, severity report.Severity) Practice {
	return Practice{
		ID: id, Chapter: Resources, Severity: severity, Fix: "mend it", Needs: []cluster.Kind{cluster.Pods},
		Check: EachWorkload(nil, func(_ *cluster.Snapshot, w *cluster.Workload) []Finding {
			if w.Owner.Name == "bad" {
				return []Finding{On(w.Owner, "", "bad"), On(w.Owner, "", "bad again")}
			}
			return nil
		}),
	}
}

func TestTheScoreIsTheWeightedShareOfWhatIsInOrder(t *testing.T) {
	// One of the two user's pods fails each practice; the platform's does not count.
	fine := badPods("fine", report.Critical)
	fine.Check = EachWorkload(nil, func(*cluster.Snapshot, *cluster.Workload) []Finding { return nil })
	d := Evaluate(read(t, true), []Practice{badPods("half", report.Warning), fine}, Scope{})
	want := (3*50 + 10*100) / 13
	if d.Score.Percent == nil || *d.Score.Percent != want {
		t.Errorf("score is %v, want %d", d.Score.Percent, want)
	}
	if d.Score.Warning != 2 || d.Score.Critical != 0 {
		t.Errorf("counts are %+v, want 2 warnings: the platform's are not counted", d.Score)
	}
	if p := d.Practices[0]; p.Judged != 2 || p.Failed != 1 {
		t.Errorf("half: %+v, want 1 of 2 failed", p)
	}
	if len(d.Findings) != 4 || !slices.ContainsFunc(d.Findings, func(f report.Finding) bool { return f.Platform }) {
		t.Errorf("the platform's findings are to be told apart, not dropped: %+v", d.Findings)
	}
}

func TestWhatCouldNotBeReadIsNotCheckedAndNeverCounts(t *testing.T) {
	needsNodes := badPods("needs-nodes", report.Critical)
	needsNodes.Needs = append(needsNodes.Needs, cluster.Nodes) // manifests hold none
	anyOf := badPods("any-of", report.Warning)
	anyOf.Needs, anyOf.Judges = nil, []cluster.Kind{cluster.Nodes, cluster.Pods}
	liveOnly := badPods("live-only", report.Critical)
	liveOnly.LiveOnly = true
	saysNo := badPods("says-no", report.Critical)
	saysNo.Uses = []cluster.Kind{cluster.NodeMetrics}
	saysNo.Check = func(*cluster.Snapshot) Verdict { return Verdict{NotChecked: "there is no telling"} }
	d := Evaluate(read(t, false), []Practice{needsNodes, anyOf, liveOnly, saysNo}, Scope{})
	for _, p := range d.Practices {
		if p.Checked != (p.ID == "any-of") {
			t.Errorf("%s: checked is %v", p.ID, p.Checked)
		}
	}
	if d.Score.Percent == nil || *d.Score.Percent != 50 {
		t.Errorf("score is %v, want that of any-of alone", d.Score.Percent)
	}
	causes := map[string]report.NotChecked{}
	for _, n := range d.NotChecked {
		causes[n.Subject] = n
	}
	if n := causes["nodes"]; !slices.Equal(n.Practices, []string{"needs-nodes"}) || !slices.Equal(n.Partly, []string{"any-of"}) {
		t.Errorf("nodes: %+v", n)
	}
	if n := causes["live state"]; n.State != "needs a cluster" || len(n.Practices) != 1 {
		t.Errorf("live state: %+v", n)
	}
	if n := causes["no verdict"]; n.Reason != "there is no telling" {
		t.Errorf("says-no: %+v", n)
	}
}

func TestNothingJudgedIsNoScore(t *testing.T) {
	nothing := badPods("nothing", report.Critical)
	nothing.Check = func(*cluster.Snapshot) Verdict { return Verdict{} }
	if d := Evaluate(read(t, true), []Practice{nothing}, Scope{}); d.Score.Percent != nil {
		t.Errorf("score is %d over nothing", *d.Score.Percent)
	}
}

func TestScopes(t *testing.T) {
	selector := func(text string) labels.Selector {
		s, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	wide := badPods("whole-cluster", report.Critical)
	wide.ClusterScope = true
	for name, test := range map[string]struct {
		scope    Scope
		findings int
		platform int
	}{
		"everything":              {Scope{}, 4, 2},
		"one namespace":           {Scope{Namespace: "shop"}, 2, 0},
		"the platform, asked for": {Scope{Namespace: "kube-system"}, 2, 0},
		"by label":                {Scope{Selector: selector("app=good")}, 0, 0},
		"by the lack of a label":  {Scope{Selector: selector("app!=good")}, 4, 2},
	} {
		t.Run(name, func(t *testing.T) {
			d := Evaluate(read(t, true), []Practice{badPods("bad-pods", report.Warning)}, test.scope)
			platform := 0
			for _, f := range d.Findings {
				if f.Platform {
					platform++
				}
			}
			if len(d.Findings) != test.findings || platform != test.platform {
				t.Errorf("%d findings, %d of them the platform's; want %+v", len(d.Findings), platform, test)
			}
		})
	}
	if d := Evaluate(read(t, true), []Practice{wide}, Scope{Namespace: "shop"}); d.Practices[0].Checked || d.NotChecked[0].State != "out of scope" {
		t.Errorf("a practice about the whole cluster was judged in one namespace: %+v", d.NotChecked)
	}
}

func TestNeedsAreEachNamedOnceAndNarrowWithTheScope(t *testing.T) {
	wide := badPods("whole-cluster", report.Critical)
	wide.ClusterScope, wide.Needs = true, []cluster.Kind{cluster.Nodes}
	practices := []Practice{badPods("a", report.Info), badPods("b", report.Info), wide}
	if got := (Scope{}).Needs(practices); !slices.Equal(got, []cluster.Kind{cluster.Nodes, cluster.Pods}) {
		t.Errorf("needs are %v", got)
	}
	if got := (Scope{Namespace: "shop"}).Needs(practices); !slices.Equal(got, []cluster.Kind{cluster.Namespaces, cluster.Pods}) {
		t.Errorf("needs in one namespace are %v", got)
	}
}
