package drain

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// node is a node of the tests' clusters.
func node(name, zone, cpu, more string) string {
	return `---
apiVersion: v1
kind: Node
metadata: {name: ` + name + `, labels: {kubernetes.io/hostname: ` + name + `, topology.kubernetes.io/zone: ` + zone + `}}
spec: {` + more + `}
status:
  allocatable: {cpu: "` + cpu + `", memory: 8Gi, pods: "20"}
  capacity: {cpu: "` + cpu + `", memory: 8Gi, pods: "20"}
  conditions: [{type: Ready, status: "True"}]
`
}

// pod is a ready pod of a ReplicaSet; more is the rest of its spec.
func pod(name, on, cpu, more string) string {
	app, _, _ := strings.Cut(name, "-")
	text := `---
apiVersion: v1
kind: Pod
metadata:
  name: ` + name + `
  namespace: shop
  uid: ` + name + `
  labels: {app: ` + app + `}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: ` + app + `, uid: rs-` + app + `, controller: true}]
spec:
  schedulerName: default-scheduler
  containers: [{name: app, image: app, resources: {requests: {cpu: ` + cpu + `}}}]
`
	if on != "" {
		text += "  nodeName: " + on + "\n"
	}
	if more != "" {
		text += more
	}
	if on == "" {
		return text + "status: {phase: Pending}\n"
	}
	return text + "status: {phase: Running, conditions: [{type: Ready, status: \"True\"}]}\n"
}

func budgetOf(app, rule string, healthy, desired, allowed string) string {
	return `---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: ` + app + `, namespace: shop}
spec: {` + rule + `, selector: {matchLabels: {app: ` + app + `}}}
status: {currentHealthy: ` + healthy + `, desiredHealthy: ` + desired + `, disruptionsAllowed: ` + allowed + `, expectedPods: ` + healthy + `}
`
}

// read is a Snapshot of manifests, taken for a running cluster.
func read(t *testing.T, manifests ...string) *cluster.Snapshot {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(manifests, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	s, errs := cluster.Manifests{Filenames: []string{path}, AsLive: true, Time: time.Now()}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return s
}

func question(t *testing.T, nodes ...string) Question {
	t.Helper()
	configuration, err := SchedulerConfiguration(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Question{Options: Options{GracePeriod: -1}, Nodes: nodes, Scheduler: configuration}
}

func check(t *testing.T, s *cluster.Snapshot, q Question) *report.DrainCheck {
	t.Helper()
	got, err := Check(t.Context(), s, q)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhatBecomesOfTheDrainOfN1(t *testing.T) {
	three := node("n1", "a", "4", "") + node("n2", "b", "4", "") + node("n3", "c", "4", "")
	const antiAffinity = "  affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {matchLabels: {app: web}}, topologyKey: kubernetes.io/hostname}]}}\n"
	const spread = "  topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]\n"
	for name, test := range map[string]struct {
		cluster string
		verdict report.DrainVerdict
		// blocked, waves and to are of the pods on n1, in their order.
		outcomes []string
		waves    []int
		placed   []bool
		says     string // part of a blocker's or consequence's message
		fix      string // part of a fix
	}{
		"a free pod goes, and its replacement fits": {
			cluster: three + pod("web-1", "n1", "1", "") + pod("web-2", "n2", "1", ""),
			verdict: report.VerdictSafe, outcomes: []string{"evicted"}, waves: []int{1}, placed: []bool{true},
		},
		"two pods under a budget of one go in two waves": {
			cluster: three + pod("web-1", "n1", "1", "") + pod("web-2", "n1", "1", "") + pod("web-3", "n2", "1", "") + budgetOf("web", "maxUnavailable: 1", "3", "2", "1"),
			verdict: report.VerdictSafe, outcomes: []string{"evicted", "evicted"}, waves: []int{1, 2}, placed: []bool{true, true},
		},
		"a budget that allows none blocks for ever": {
			cluster: three + pod("web-1", "n1", "1", "") + pod("web-2", "n2", "1", "") + budgetOf("web", "minAvailable: 2", "2", "2", "0"),
			verdict: report.VerdictBlocked, outcomes: []string{"blocked"}, waves: []int{0}, placed: []bool{false},
			says: "minAvailable 2: 2 of 2 pods healthy, 2 needed, allows 0", fix: `kubectl -n shop patch poddisruptionbudget web --type=merge -p '{"spec":{"minAvailable":null,"maxUnavailable":1}}'`,
		},
		"a budget waits for ever for a replacement that fits nowhere": {
			cluster: node("n1", "a", "4", "") + node("n2", "b", "1", "") + pod("web-1", "n1", "2", "") + pod("web-2", "n1", "2", "") + budgetOf("web", "maxUnavailable: 1", "2", "1", "1"),
			verdict: report.VerdictBlocked, outcomes: []string{"evicted", "blocked"}, waves: []int{1, 0}, placed: []bool{false, false},
			says: "waits for replacements that do not get ready", fix: "no node takes shop/web-1",
		},
		"anti-affinity leaves no node": {
			cluster: node("n1", "a", "4", "") + node("n2", "b", "4", "") + pod("web-1", "n1", "1", antiAffinity) + pod("web-2", "n2", "1", antiAffinity),
			verdict: report.VerdictBreaks, outcomes: []string{"evicted"}, waves: []int{1}, placed: []bool{false},
			says: "node(s) didn't match pod anti-affinity rules",
		},
		"the drained node stays as a ghost that spreading counts": {
			cluster: node("n1", "a", "4", "") + node("n2", "b", "4", "") + pod("web-1", "n1", "1", spread) + pod("web-2", "n2", "1", spread),
			verdict: report.VerdictBreaks, outcomes: []string{"evicted"}, waves: []int{1}, placed: []bool{false},
			says: "node(s) didn't match pod topology spread constraints",
		},
		"nothing is left where all others are cordoned": {
			cluster: node("n1", "a", "4", "") + node("n2", "b", "4", "unschedulable: true, taints: [{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]") + pod("web-1", "n1", "1", ""),
			verdict: report.VerdictBreaks, outcomes: []string{"evicted"}, waves: []int{1}, placed: []bool{false}, says: "would stay Pending",
		},
		"two pods for one place: one stays Pending": {
			cluster: node("n1", "a", "4", "") + node("n2", "b", "2", "") + pod("web-1", "n1", "2", "") + pod("web-2", "n1", "2", ""),
			verdict: report.VerdictBreaks, outcomes: []string{"evicted", "evicted"}, waves: []int{1, 1}, placed: []bool{true, false}, says: "Insufficient cpu",
		},
		"another scheduler's pod is not guessed at": {
			cluster: three + strings.Replace(pod("web-1", "n1", "1", ""), "default-scheduler", "theirs", 1),
			verdict: report.VerdictSafe, outcomes: []string{"evicted"}, waves: []int{1}, placed: []bool{false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := check(t, read(t, test.cluster), question(t, "n1"))
			if got.Verdict != test.verdict {
				t.Errorf("verdict %s (%s), want %s", got.Verdict, got.Summary, test.verdict)
			}
			for i, pod := range got.Pods {
				if string(pod.Outcome) != test.outcomes[i] || pod.Wave != test.waves[i] || (pod.To != "") != test.placed[i] {
					t.Errorf("%s: %s in wave %d to %q (%s); want %s in wave %d, placed %t", pod.Name, pod.Outcome, pod.Wave, pod.To, pod.Unplaced, test.outcomes[i], test.waves[i], test.placed[i])
				}
			}
			var said, fixes []string
			for _, b := range got.Blockers {
				said, fixes = append(said, b.Message), append(fixes, b.Fixes...)
			}
			for _, c := range got.Consequences {
				said = append(said, c.Message)
			}
			if !strings.Contains(strings.Join(said, "\n"), test.says) || !strings.Contains(strings.Join(fixes, "\n"), test.fix) {
				t.Errorf("says %q with fixes %q; want %q and %q", said, fixes, test.says, test.fix)
			}
		})
	}
}

func TestAHigherPriorityTakesThePlaceOfALower(t *testing.T) {
	s := read(t, node("n1", "a", "4", ""), node("n2", "b", "2", ""),
		pod("web-1", "n1", "2", "  priority: 100\n"), pod("batch-1", "n2", "2", "  priority: 0\n"))
	got := check(t, s, question(t, "n1"))
	if !slices.Equal(got.Pods[0].Preempts, []string{"shop/batch-1"}) || got.Pods[0].To != "n2" {
		t.Errorf("preempts %v on %q, want shop/batch-1 on n2", got.Pods[0].Preempts, got.Pods[0].To)
	}
	if !slices.ContainsFunc(got.Consequences, func(c report.DrainConsequence) bool { return c.Kind == "preemption" && c.Severity == report.Critical }) {
		t.Errorf("that batch-1 finds no other node is not told: %+v", got.Consequences)
	}
}

// TestAStatefulSetsPodComesAfterWhatIsMadeAtOnce has room for one replacement:
// of a StatefulSet it is made when the old pod is gone, whatever its priority.
func TestAStatefulSetsPodComesAfterWhatIsMadeAtOnce(t *testing.T) {
	polite := "  priority: 50\n  preemptionPolicy: Never\n"
	set := strings.Replace(pod("db-0", "n1", "2", polite), "kind: ReplicaSet", "kind: StatefulSet", 1)
	got := check(t, read(t, node("n1", "a", "4", ""), node("n2", "b", "2", ""), set, pod("web-1", "n1", "2", "")), question(t, "n1"))
	db, web := got.Pods[0], got.Pods[1]
	if db.To != "" || web.To != "n2" || !db.DependsOnOrder || !web.DependsOnOrder {
		t.Errorf("db-0 to %q (depends on order: %t), web-1 to %q (%t); want web-1 on n2, and both to depend on the order", db.To, db.DependsOnOrder, web.To, web.DependsOnOrder)
	}
}

func TestAServiceWithoutEndpointsIsTold(t *testing.T) {
	s := read(t, node("n1", "a", "4", ""), node("n2", "b", "4", ""), pod("web-1", "n1", "1", ""),
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {selector: {app: web}}\n")
	got := check(t, s, question(t, "n1"))
	if got.Verdict != report.VerdictBreaks || len(got.Consequences) == 0 || got.Consequences[0].Kind != "service" {
		t.Errorf("verdict %s, consequences %+v", got.Verdict, got.Consequences)
	}
}

func TestAPlanIsTheSameEachTimeAndReEvaluatesBudgets(t *testing.T) {
	manifests := node("n1", "a", "4", "") + node("n2", "a", "4", "") + node("n3", "b", "4", "") + node("n4", "b", "4", "") +
		pod("web-1", "n1", "1", "") + pod("web-2", "n2", "1", "") + pod("web-3", "n3", "1", "") + budgetOf("web", "maxUnavailable: 1", "3", "2", "1")
	var first *report.DrainPlan
	for range 8 {
		got, err := Plan(t.Context(), read(t, manifests), question(t, "n1", "n2", "n3", "n4"))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Plan.Steps) != 4 || len(got.Plan.Stuck) != 0 || got.Verdict != report.VerdictSafe {
			t.Errorf("plan %+v, verdict %s; want four steps of one node", got.Plan, got.Verdict)
		}
		if first == nil {
			first = got.Plan
		} else if !slices.EqualFunc(first.Steps, got.Plan.Steps, func(a, b report.DrainStep) bool { return slices.Equal(a.Nodes, b.Nodes) }) {
			t.Errorf("another plan: %+v, then %+v", first.Steps, got.Plan.Steps)
		}
	}
}

func TestAPlanNamesTheNodeThatNoStepCanDrainAndGoesOn(t *testing.T) {
	manifests := node("n1", "a", "4", "") + node("n2", "a", "4", "") + pod("web-1", "n1", "1", "") + budgetOf("web", "minAvailable: 1", "1", "1", "0") + pod("api-1", "n2", "1", "")
	got, err := Plan(t.Context(), read(t, manifests), question(t, "n1", "n2"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Plan.Stuck) != 1 || got.Plan.Stuck[0].Node != "n1" || len(got.Plan.Stuck[0].Fixes) == 0 || len(got.Plan.Steps) != 1 || got.Verdict != report.VerdictBlocked {
		t.Errorf("plan %+v, verdict %s", got.Plan, got.Verdict)
	}
}

func TestAFollowerTellsWhichPodWaitsForWhichBudgetAndSinceWhen(t *testing.T) {
	s := read(t, node("n1", "a", "4", "unschedulable: true"), node("n2", "b", "4", ""),
		pod("web-1", "n1", "1", ""), pod("web-2", "n2", "1", ""), budgetOf("web", "minAvailable: 2", "2", "2", "0"))
	follower := NewFollower()
	q := question(t, "n1")
	follower.Look(s, q)
	since := s.Time
	s.Time = since.Add(time.Minute)
	got := follower.Look(s, q)
	if len(got.Pods) != 1 || got.Pods[0].State != "waiting" || got.Pods[0].Budget != "web" || !got.Pods[0].Since.Time.Equal(since) || len(got.Pods[0].Release) == 0 {
		t.Errorf("told %+v", got.Pods)
	}
}

// TestARareOrderIsTold has one pod that fits either node, and eight that fill the
// second alone: they find no room only where the one comes first and the tie
// between the nodes goes to the second, once in eighteen.
func TestARareOrderIsTold(t *testing.T) {
	manifests := []string{node("n1", "a", "20", ""), node("n2", "a", "8", ""), node("n3", "b", "8", ""), pod("any-1", "n1", "1", "")}
	for i := range 8 {
		manifests = append(manifests, pod(fmt.Sprintf("bound%d-1", i), "n1", "1", "  nodeSelector: {kubernetes.io/hostname: n3}\n"))
	}
	got := check(t, read(t, manifests...), question(t, "n1"))
	for _, p := range got.Pods {
		if p.To == "" {
			t.Errorf("%s finds no node in the likely order: %s", p.Name, p.Unplaced)
		}
	}
	if !slices.ContainsFunc(got.Pods, func(p report.DrainPod) bool { return p.DependsOnOrder }) {
		t.Error("no pod is said to depend on the order")
	}
}

// TestAPodThatStillEndsMayDecideWhereOthersGo has one pod that wants to be in the
// zone of its like. While its predecessor ends in zone a, that is n3, which is then
// too full for the other; once it is gone, the emptier n2.
func TestAPodThatStillEndsMayDecideWhereOthersGo(t *testing.T) {
	together := "  affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: topology.kubernetes.io/zone, labelSelector: {matchLabels: {app: roams}}}]}}\n"
	got := check(t, read(t, node("n1", "a", "8", ""), node("n2", "b", "16", ""), node("n3", "a", "4", ""),
		pod("roams-1", "n1", "2", together), pod("bound-1", "n1", "3", "  nodeSelector: {kubernetes.io/hostname: n3}\n")), question(t, "n1"))
	for _, p := range got.Pods {
		switch {
		case p.To == "":
			t.Errorf("%s finds no node in the likely order: %s", p.Name, p.Unplaced)
		case p.Name == "bound-1" && !p.DependsOnOrder:
			t.Error("that the other may take the only node is not told")
		}
	}
}
