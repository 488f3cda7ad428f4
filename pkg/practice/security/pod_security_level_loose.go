package security

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PodSecurityLevelLoose finds namespaces that could be stricter at no cost.
//
// A level is chosen for the workload that needs most, and stays when that one
// has left. Raised to what the present ones meet, it keeps the next one from
// asking for more.
// https://kubernetes.io/docs/concepts/security/pod-security-admission/
func PodSecurityLevelLoose() practice.Practice {
	return practice.Practice{
		ID:       "pod-security-level-loose",
		Title:    "Namespace that could enforce a stricter level",
		Chapter:  practice.Security,
		Severity: report.Warning,
		Reason: "A Pod Security level is chosen for the workload that needs most, and stays when that one has left. " +
			"Raised to what the present workloads meet, it keeps the next one from asking for more.",
		Judged: "Each namespace with a label " + api.EnforceLevelLabel + " below restricted and at least one workload, the platform's excepted: all its pod templates, " +
			"and its running pods as admission completed them, must need that level, by the API server's own checks for the latest version. " +
			"Workloads that run at times only, and have no template in the cluster, are not seen.",
		Fix: "raise the label to the level that the message names, first as audit and warn for a week",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/configure-pod-container/enforce-standards-namespace-labels/",
		},
		LiveOnly: true,
		Needs:    append([]cluster.Kind{cluster.Namespaces}, cluster.WorkloadKinds()...),
		Remedy: &practice.Remedy{
			Does:    "raises the label to the strictest level that every pod template and running pod of the namespace meets, pinned to the server's minor version, and warn and audit one level above",
			Propose: labelLevel,
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			standards := newStandards()
			return practice.EachNamespace(enforcesLess, func(s *cluster.Snapshot, ns *corev1.Namespace) []practice.Finding {
				level, _ := enforced(ns)
				strictest := api.LevelRestricted
				for _, w := range s.WorkloadsIn(ns.Name) {
					strictest = looser(strictest, standards.strictest(w))
					for _, pod := range revisions(w) {
						strictest = looser(strictest, standards.strictest(asWorkload(w, pod)))
					}
				}
				if api.CompareLevels(strictest, level.Level) <= 0 {
					return nil
				}
				return []practice.Finding{practice.On(practice.NamespaceRef(ns.Name), "metadata.labels", "enforces %s, and each of its workloads (%d) meets %s",
					level.Level, len(s.WorkloadsIn(ns.Name)), strictest).
					Mended("kubectl label --overwrite namespace %s %s=%s", ns.Name, api.EnforceLevelLabel, strictest)}
			})(s)
		},
	}
}

// enforcesLess leaves out namespaces at the strictest level, and those without
// one, which pod-security-label-unset names.
func enforcesLess(s *cluster.Snapshot, ns *corev1.Namespace) bool {
	level, set := enforced(ns)
	return set && level.Level != api.LevelRestricted && !cluster.IsPlatform(ns.Name) && len(s.WorkloadsIn(ns.Name)) > 0
}

// enforced is the level and version that a namespace enforces by its labels.
func enforced(ns *corev1.Namespace) (api.LevelVersion, bool) {
	level, err := api.ParseLevel(ns.Labels[api.EnforceLevelLabel])
	if err != nil {
		return api.LevelVersion{}, false
	}
	version, err := api.ParseVersion(ns.Labels[api.EnforceVersionLabel])
	if err != nil {
		version = api.LatestVersion()
	}
	return api.LevelVersion{Level: level, Version: version}, true
}

func looser(a, b api.Level) api.Level {
	if api.CompareLevels(a, b) < 0 {
		return a
	}
	return b
}

// revisions are a Workload's pods, one for each revision of its template: those
// of one revision are the same but for what is in their status.
func revisions(w *cluster.Workload) []*cluster.Pod {
	seen := map[string]bool{}
	var pods []*cluster.Pod
	for _, pod := range w.Pods {
		revision := pod.Labels["pod-template-hash"] + pod.Labels["controller-revision-hash"]
		if seen[revision] || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		seen[revision] = revision != ""
		pods = append(pods, pod)
	}
	return pods
}

// asWorkload is a Workload as one of its pods shows it, completed by admission.
func asWorkload(w *cluster.Workload, pod *cluster.Pod) *cluster.Workload {
	completed := *w
	completed.Template = &corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: *pod.Spec.PodSpec}
	return &completed
}
