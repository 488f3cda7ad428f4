package security

import (
	"k8s.io/pod-security-admission/api"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PSSBaseline finds workloads that can take over their node.
//
// What the baseline standard forbids (privileged containers, the host's
// namespaces, paths and ports, added capabilities …) are the known ways from a
// container to its node, and from there to every pod on it.
// https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
func PSSBaseline() practice.Practice {
	return practice.Practice{
		ID:       "pss-baseline",
		Title:    "Workload that the baseline Pod Security Standard forbids",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "What the baseline standard forbids (privileged containers, the host's namespaces, paths and ports, added capabilities) " +
			"are the known ways from a container to its node, and from there to every pod on it.",
		Judged: "Each workload's pod template, by the API server's own checks for the latest version of the standard.",
		Fix:    "remove what the message names from the pod template; a node agent that needs it belongs in a namespace of its own",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline",
			"https://pkg.go.dev/k8s.io/pod-security-admission/policy",
		},
		Judges: cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does: "replaces seccompProfile: Unconfined by RuntimeDefault; refused for what else baseline forbids (privileged containers, the host's namespaces, paths and ports, " +
				"added capabilities), since whether the program needs it cannot be seen",
			LeadsTo: []string{"pod-security-level-loose"},
			Propose: mend.Workload(meetLevel(api.LevelBaseline)),
		},
		Check: meetsStandard(api.LevelBaseline),
	}
}

// meetsStandard judges every Workload by the controls of one level.
func meetsStandard(level api.Level) func(*cluster.Snapshot) practice.Verdict {
	return func(s *cluster.Snapshot) practice.Verdict {
		standards := newStandards()
		return practice.EachWorkload(nil, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
			result := standards.forbidden(level, w)
			if result.Allowed {
				return nil
			}
			return []practice.Finding{practice.On(w.Owner, w.TemplatePath, "%s", violation(level, result))}
		})(s)
	}
}
