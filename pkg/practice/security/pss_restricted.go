package security

import (
	"k8s.io/pod-security-admission/api"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PSSRestricted finds workloads that keep privileges they do not need.
//
// The restricted standard takes from a container what attackers use after they
// got in: new privileges, capabilities, system calls, root. Most applications
// run under it without a change to their image.
// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
func PSSRestricted() practice.Practice {
	return practice.Practice{
		ID:       "pss-restricted",
		Title:    "Workload that the restricted Pod Security Standard forbids",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "The restricted standard takes from a container what attackers use after they got in: new privileges, capabilities, system calls, root. " +
			"Most applications run under it without a change to their image.",
		Judged: "Each workload's pod template, by the API server's own checks for the latest version of the standard. " +
			"Controls that pss-baseline already names are not told twice.",
		Fix: "set securityContext: runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted",
			"https://pkg.go.dev/k8s.io/pod-security-admission/policy",
		},
		Judges: cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does: "one change each: runAsNonRoot with the UID that every container is seen to run with, seccompProfile: RuntimeDefault, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}; " +
				"each refused where nothing proves that the containers do without what it takes: they run as root, their UID is not known, they add capabilities or listen below port 1024",
			Uses:    []cluster.Kind{cluster.Pods, cluster.ReplicaSets},
			LeadsTo: []string{"pod-security-level-loose"},
			Propose: mend.Workload(meetLevel(api.LevelRestricted)),
		},
		Check: meetsStandard(api.LevelRestricted),
	}
}
