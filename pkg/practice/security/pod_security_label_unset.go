package security

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PodSecurityLabelUnset finds namespaces that admit any pod.
//
// Pod Security admission is built into every API server and does nothing until
// a namespace says which standard it enforces: until then whoever may create a
// pod there may take over a node.
// https://kubernetes.io/docs/concepts/security/pod-security-admission/
func PodSecurityLabelUnset() practice.Practice {
	return practice.Practice{
		ID:       "pod-security-label-unset",
		Title:    "Namespace that enforces no Pod Security Standard",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "Pod Security admission is built into every API server and does nothing until a namespace says which standard it enforces: " +
			"until then, whoever may create a pod there may take over a node.",
		Judged: "Each namespace, the platform's excepted: it must have the label " + api.EnforceLevelLabel + ". Any level is a decision, also privileged. " +
			"A default in the API server's own admission configuration cannot be seen from here.",
		Fix: "label the namespace with the strictest level that its workloads meet",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/security/pod-security-admission/#pod-security-admission-labels-for-namespaces",
			"https://kubernetes.io/docs/tasks/configure-pod-container/enforce-standards-namespace-labels/",
		},
		Needs: []cluster.Kind{cluster.Namespaces},
		Uses:  cluster.WorkloadKinds(),
		Remedy: &practice.Remedy{
			Does: "labels the namespace with the strictest level that every pod template and running pod of it meets, pinned to the server's minor version, and warn and audit one level above; " +
				"refused where some workload does not meet baseline, and where another manager owns the labels",
			Propose: labelLevel,
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			standards := newStandards()
			return practice.EachNamespace(ofUsers, func(s *cluster.Snapshot, ns *corev1.Namespace) []practice.Finding {
				level, set := ns.Labels[api.EnforceLevelLabel]
				if _, err := api.ParseLevel(level); set && err == nil {
					return nil
				}
				return []practice.Finding{unenforced(standards, ns, level, s.WorkloadsIn(ns.Name))}
			})(s)
		},
	}
}

func ofUsers(_ *cluster.Snapshot, ns *corev1.Namespace) bool { return !cluster.IsPlatform(ns.Name) }

// unenforced words the finding with what a label would break today, and offers
// the strictest label that breaks nothing.
func unenforced(standards standards, ns *corev1.Namespace, level string, workloads []*cluster.Workload) practice.Finding {
	meeting := map[api.Level]int{}
	for _, w := range workloads {
		meeting[standards.strictest(w)]++
	}
	said := "no label " + api.EnforceLevelLabel
	if level != "" {
		said = fmt.Sprintf("the label %s=%s names no level", api.EnforceLevelLabel, level)
	}
	if len(workloads) > 0 {
		said += fmt.Sprintf("; of %d workloads, baseline would refuse %d and restricted %d", len(workloads),
			meeting[api.LevelPrivileged], meeting[api.LevelPrivileged]+meeting[api.LevelBaseline])
	}
	finding := practice.On(practice.NamespaceRef(ns.Name), "metadata.labels", "%s", said)
	label := "kubectl label --overwrite namespace %s " + api.EnforceLevelLabel + "=%s"
	switch {
	case meeting[api.LevelPrivileged] > 0:
		return finding.Mended("mend what pss-baseline names, then: "+label, ns.Name, api.LevelBaseline)
	case meeting[api.LevelBaseline] > 0:
		return finding.Mended(label, ns.Name, api.LevelBaseline)
	default:
		return finding.Mended(label, ns.Name, api.LevelRestricted)
	}
}
