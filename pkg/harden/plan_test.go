package harden

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// finds is a practice that finds the same on every object it is given.
func finds(id string, severity report.Severity, propose func(cluster.Ref) practice.Proposal, objects ...cluster.Ref) practice.Practice {
	return practice.Practice{
		ID: id, Chapter: practice.Resources, Severity: severity,
		Check: func(*cluster.Snapshot) practice.Verdict {
			v := practice.Verdict{Judged: objects}
			for _, object := range objects {
				v.Findings = append(v.Findings, practice.On(object, "", "%s", id))
			}
			return v
		},
		Remedy: &practice.Remedy{Does: id, Propose: func(_ *cluster.Snapshot, f practice.Finding) practice.Proposal { return propose(f.Object) }},
	}
}

func sets(value any, path ...any) func(cluster.Ref) practice.Proposal {
	return func(ref cluster.Ref) practice.Proposal {
		return practice.Propose(edits(ref, change.Set(value, path...)))
	}
}

func deployment(namespace, name string) cluster.Ref {
	return cluster.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: name}
}

func snapshot(t *testing.T) *cluster.Snapshot {
	t.Helper()
	s, errs := cluster.Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return s
}

// told is a plan in a line an item: "practice object (also): fields".
func told(p *Plan) string {
	var lines []string
	for n, unit := range p.Units() {
		for _, item := range unit {
			line := fmt.Sprintf("%d %s %s", n, item.Practice.ID, item.Object.Name)
			if len(item.Also) > 0 {
				line += " also " + strings.Join(item.Also, ",")
			}
			for _, c := range item.Proposal.Changes {
				line += " | " + c.Object.String()
				if c.Create != nil {
					line += " new"
				}
				for _, edit := range c.Edits {
					line += fmt.Sprintf(" %s=%v", change.Pathname(edit.Path), edit.Value)
				}
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func TestMake(t *testing.T) {
	web, api, system := deployment("shop", "web"), deployment("shop", "api"), deployment("kube-system", "dns")
	creates := func(cluster.Ref) practice.Proposal { return practice.Propose(budget()) }
	for name, test := range map[string]struct {
		practices []practice.Practice
		keep      func(cluster.Ref) bool
		want      string
		unsafe    int
		platform  int
	}{
		"the worst first, but an object's together": {
			practices: []practice.Practice{
				finds("mild", report.Info, sets(1, "spec", "a"), web, api),
				finds("bad", report.Critical, sets(1, "spec", "b"), web),
				finds("middling", report.Warning, sets(1, "spec", "c"), api),
			},
			want: "0 bad web | deployment.apps/web spec.b=1\n0 mild web | deployment.apps/web spec.a=1\n" +
				"1 middling api | deployment.apps/api spec.c=1\n1 mild api | deployment.apps/api spec.a=1",
		},
		"a field that two want is the worse one's": {
			practices: []practice.Practice{
				finds("mild", report.Info, sets(1, "spec", "a", "b"), web),
				finds("bad", report.Critical, sets(2, "spec", "a"), web),
			},
			want: "0 bad web also mild | deployment.apps/web spec.a=2",
		},
		"a new object that two want is the worse one's": {
			practices: []practice.Practice{finds("bad", report.Critical, creates, web), finds("mild", report.Info, creates, web)},
			want:      "0 bad web also mild | poddisruptionbudget.policy/web new",
		},
		"two findings on an object are one question": {
			practices: []practice.Practice{finds("twice", report.Info, func(ref cluster.Ref) practice.Proposal {
				return practice.Propose(edits(ref, change.Set(1, "spec", "a")), budget())
			}, web, web)},
			want: "0 twice web | deployment.apps/web spec.a=1 | poddisruptionbudget.policy/web new",
		},
		"what shares an object is one write, also by way of a third": {
			practices: []practice.Practice{
				finds("first", report.Critical, sets(1, "spec", "a"), web),
				finds("second", report.Warning, sets(1, "spec", "a"), api),
				finds("third", report.Info, func(cluster.Ref) practice.Proposal {
					return practice.Propose(edits(web, change.Set(1, "spec", "z")), edits(api, change.Set(1, "spec", "z")))
				}, web),
			},
			want: "0 first web | deployment.apps/web spec.a=1\n0 second api | deployment.apps/api spec.a=1\n" +
				"0 third web | deployment.apps/web spec.z=1 | deployment.apps/api spec.z=1",
		},
		"the platform is left alone": {
			practices: []practice.Practice{finds("bad", report.Critical, sets(1, "spec", "a"), system, web)},
			want:      "0 bad web | deployment.apps/web spec.a=1", platform: 1,
		},
		"but for what is named": {
			practices: []practice.Practice{finds("bad", report.Critical, sets(1, "spec", "a"), system, web)},
			keep:      func(ref cluster.Ref) bool { return ref == system },
			want:      "0 bad dns | deployment.apps/dns spec.a=1",
		},
		"a remedy that refuses says why": {
			practices: []practice.Practice{finds("bad", report.Critical, func(cluster.Ref) practice.Proposal { return practice.Refuse("no numbers") }, web)},
			unsafe:    1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := Make(snapshot(t), test.practices, practice.Scope{}, test.keep)
			if got := told(p); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if len(p.Unsafe) != test.unsafe || p.Platform != test.platform {
				t.Errorf("unsafe %v, platform %d", p.Unsafe, p.Platform)
			}
		})
	}
}

func TestStateOfADeployment(t *testing.T) {
	two := int32(2)
	for name, test := range map[string]struct {
		status  appsv1.DeploymentStatus
		unfit   string
		mending string // unfit for a change about what fails
	}{
		"all is well":          {status: appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}},
		"not seen yet":         {status: appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}, unfit: "a rollout is in progress (waiting for the controller): run harden again when it has ended"},
		"in the middle":        {status: appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 3, UpdatedReplicas: 1, AvailableReplicas: 2}, unfit: "a rollout is in progress (1 of 2 pods are new): run harden again when it has ended"},
		"old ones are ending":  {status: appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 3, UpdatedReplicas: 2, AvailableReplicas: 3}, unfit: "a rollout is in progress (1 old pods are still there): run harden again when it has ended"},
		"one pod is not there": {status: appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 1}, unfit: "it is degraded (1 of 2 pods are available): mend it first"},
		"no pod can be made": {status: appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 1, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentReplicaFailure, Status: "True", Reason: "FailedCreate", Message: "exceeded quota"},
		}}, unfit: "it is degraded (1 of 2 pods are available; FailedCreate: exceeded quota): mend it first"},
	} {
		t.Run(name, func(t *testing.T) {
			s := deploymentState(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Generation: 3}, Spec: appsv1.DeploymentSpec{Replicas: &two}, Status: test.status})
			if got := s.unfit(false); got != test.unfit {
				t.Errorf("got %q, want %q", got, test.unfit)
			}
			if got := s.unfit(true); got != test.mending {
				t.Errorf("for a change that mends it: got %q, want %q", got, test.mending)
			}
		})
	}
}
