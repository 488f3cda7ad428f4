package security

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/mend"
)

// labelLevel labels a namespace with the strictest level that nothing in it
// violates. The server's own word, which a dry run of the label brings as
// warnings, is asked for where the change is applied: it sees pods alone, and
// skips labels that do not tighten.
func labelLevel(s *cluster.Snapshot, f practice.Finding) practice.Proposal {
	ns := s.Namespace(f.Object.Name)
	switch {
	case ns == nil:
		return practice.Refuse("the namespace is not among what was read")
	case s.Serves("securitycontextconstraints.security.openshift.io"):
		return practice.Refuse("OpenShift sets these labels by itself, and sets them back")
	case len(s.WorkloadsIn(ns.Name)) == 0:
		return practice.Refuse("nothing runs in it yet: choose the level by what is to come")
	}
	pinned := serverVersion(s)
	strictest, blocking, why := strictestFor(s, ns.Name, pinned)
	present, _ := enforced(ns)
	switch {
	case why != "":
		return practice.Refuse("%s", why)
	case strictest == api.LevelPrivileged:
		return practice.Refuse("baseline would refuse the next pods of %s: mend them, or move them to a namespace of their own", mend.Names(blocking))
	case present.Level != "" && api.CompareLevels(strictest, present.Level) <= 0:
		return practice.Refuse("by the checks of %s it could not be stricter", pinned.String())
	}
	above := api.LevelRestricted // of baseline and of restricted
	var edits []change.Edit
	for _, label := range []struct{ mode, version, level string }{
		{api.EnforceLevelLabel, api.EnforceVersionLabel, string(strictest)},
		{api.WarnLevelLabel, api.WarnVersionLabel, string(above)},
		{api.AuditLevelLabel, api.AuditVersionLabel, string(above)},
	} {
		edits = append(edits, change.Set(label.level, "metadata", "labels", label.mode))
		if !pinned.Latest() {
			edits = append(edits, change.Set(pinned.String(), "metadata", "labels", label.version))
		}
	}
	said := fmt.Sprintf("each of its workloads (%d), and each running pod, meets %s", len(s.WorkloadsIn(ns.Name)), strictest)
	if strictest == api.LevelBaseline {
		said += "; restricted would refuse " + mend.Names(blocking)
	}
	if pinned.Latest() {
		said += "; manifests name no server, so that no version is pinned"
	}
	return practice.Propose(change.Change{Object: f.Object, Edits: edits}).Because("%s", said).
		Risking("pods that run at times only, and have no template here, may need more: they are refused")
}

// serverVersion is the version to pin: the API server's minor, "latest" where
// none is known.
func serverVersion(s *cluster.Snapshot) api.Version {
	server, err := version.ParseGeneric(s.Origin.Version)
	if err != nil {
		return api.LatestVersion()
	}
	return api.MajorMinorVersion(int(server.Major()), int(server.Minor()))
}

// strictestFor is the strictest level of a version that all templates and
// running pods of a namespace meet, and what keeps it from the next.
func strictestFor(s *cluster.Snapshot, namespace string, pinned api.Version) (strictest api.Level, blocking []*cluster.Workload, why string) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return "", nil, err.Error()
	}
	meets := func(w *cluster.Workload, level api.Level) bool {
		wanted := api.LevelVersion{Level: level, Version: pinned}
		if !policy.AggregateCheckResults(evaluator.EvaluatePod(wanted, &w.Template.ObjectMeta, defaulted(&w.Template.Spec))).Allowed {
			return false
		}
		for _, pod := range revisions(w) {
			if !policy.AggregateCheckResults(evaluator.EvaluatePod(wanted, &pod.ObjectMeta, pod.Spec.PodSpec)).Allowed {
				return false
			}
		}
		return true
	}
	blockers := func(level api.Level) []*cluster.Workload {
		var all []*cluster.Workload
		for _, w := range s.WorkloadsIn(namespace) {
			if !w.IsStatic() && !meets(w, level) {
				all = append(all, w)
			}
		}
		return all
	}
	if blocking = blockers(api.LevelBaseline); len(blocking) > 0 {
		return api.LevelPrivileged, blocking, ""
	}
	if blocking = blockers(api.LevelRestricted); len(blocking) > 0 {
		return api.LevelBaseline, blocking, ""
	}
	return api.LevelRestricted, nil, ""
}
