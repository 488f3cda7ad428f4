package harden

import (
	"slices"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func TestAWarningOfTheServerIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer(t, webDeployment)
		s.warns = []string{"metadata.name: this is used in Pod names"}
		r, face := newRun(t, s, Yes)
		plan := threeChanges()
		plan.Items = plan.Items[:1]
		if got := states(apply(t, r, plan)); got != "applied" {
			t.Error(got)
		}
		if want := "the API server warns: metadata.name: this is used in Pod names"; !slices.Contains(face.shown[0].Notes, want) {
			t.Errorf("%q", face.shown[0].Notes)
		}
	})
}

// TestALabelThatTheServersOwnPodsViolateIsRefused: what the API server answers
// to the label, as k8s.io/pod-security-admission words it, against the plan.
func TestALabelThatTheServersOwnPodsViolateIsRefused(t *testing.T) {
	namespace := cluster.Ref{APIVersion: "v1", Kind: "Namespace", Name: "shop"}
	for name, test := range map[string]struct {
		warns []string
		want  string
	}{
		"pods that violate it": {
			[]string{`existing pods in namespace "shop" violate the new PodSecurity enforce level "restricted:v1.37"`, "debug (and 1 other pod): privileged"},
			`the API server, which looks at the pods that are there now, does not agree: existing pods in namespace "shop" violate the new PodSecurity enforce level "restricted:v1.37"; debug (and 1 other pod): privileged`,
		},
		"too many to look at": {
			[]string{"new PodSecurity enforce level only checked against the first 900 of 4000 existing pods"},
			"the API server, which looks at the pods that are there now, does not agree: new PodSecurity enforce level only checked against the first 900 of 4000 existing pods",
		},
		"a namespace that is exempt": {
			[]string{`namespace "shop" is exempt from Pod Security, and the policy (enforce=restricted:v1.37) will be ignored`},
			`the API server, which looks at the pods that are there now, does not agree: namespace "shop" is exempt from Pod Security, and the policy (enforce=restricted:v1.37) will be ignored`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer(t, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
				s.warns = test.warns
				r, _ := newRun(t, s)
				r.Yes = true
				label := mends("pod-security-label-unset", edits(namespace, change.Set("restricted", "metadata", "labels", "pod-security.kubernetes.io/enforce")))
				label.Object = namespace
				h := apply(t, r, &Plan{Items: []*Item{label}, Diagnosis: &report.Diagnosis{}})
				if c := h.Changes[0]; c.State != report.Refused || c.StateReason != test.want || len(s.writes) > 0 {
					t.Errorf("%s: %s, wrote %v", c.State, c.StateReason, s.writes)
				}
			})
		})
	}
}
