package operations

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// GitOpsDrift finds what somebody changed by hand in what comes from Git.
//
// https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/#automatic-self-healing
func GitOpsDrift() practice.Practice {
	return practice.Practice{
		ID:       "gitops-drift",
		Title:    "Hand edit on an object that is deployed from Git",
		Chapter:  practice.Operations,
		Severity: report.Warning,
		Reason: "What was changed by hand runs, and no review, no history and no second cluster has it. The next sync undoes it at a moment that nobody chose, " +
			"or, where Git does not name the field, it stays for good and nobody knows why.",
		Judged: "Objects that Argo CD or Flux deploy, by the mark that they leave: workloads, Services, Ingresses, ConfigMaps, NetworkPolicies, autoscalers, budgets and roles. " +
			"By the API server's own bookkeeping (managedFields): fields outside metadata that kubectl or a console wrote after the object was made, and that nothing else owns. " +
			"A restart (kubectl rollout restart) and scaling are no drift. Objects that were made by hand and taken over by Git later can be told wrongly.",
		Fix:      "put the change into the repository, or sync the object; then whoever deploys owns the field again",
		Sources:  []string{"https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management", "https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/#automatic-self-healing", "https://fluxcd.io/flux/faq/#why-are-kubectl-edits-rolled-back-by-flux"},
		LiveOnly: true,
		Needs:    gitOpsKinds(),
		Judges:   driftKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			apps := map[string]bool{}
			for _, app := range s.System(cluster.ArgoApplications) {
				apps[app.GetName()] = true
			}
			var v practice.Verdict
			for _, w := range s.Workloads() {
				if marked(w.Meta.Labels, w.Meta.Annotations, apps) != "" {
					v.Judged = append(v.Judged, w.Owner)
				}
			}
			for _, ref := range s.Edited() {
				by := marked(s.LabelsOf(ref), s.AnnotationsOf(ref), apps)
				if by == "" {
					continue
				}
				v.Judged = append(v.Judged, ref)
				for _, edit := range s.Edits(ref) {
					v.Findings = append(v.Findings, practice.On(ref, edit.Fields[0], "%s changed %s on %s, and %s, which deploys it, has not since",
						edit.By, few(edit.Fields), edit.Time.UTC().Format("2006-01-02 15:04 MST"), by))
				}
			}
			return v
		},
	}
}

// driftKinds are the kinds of which edits are known. The bodies of ConfigMaps
// tell no more of them than their metadata.
func driftKinds() []cluster.Kind {
	return slices.DeleteFunc(cluster.WrittenKinds(), func(kind cluster.Kind) bool { return kind == cluster.ConfigMapData })
}

// marked names what deploys an object from Git, by its labels and annotations.
func marked(labels, annotations map[string]string, apps map[string]bool) string {
	switch {
	case annotations["argocd.argoproj.io/tracking-id"] != "", labels["argocd.argoproj.io/instance"] != "", apps[labels["app.kubernetes.io/instance"]]:
		return "Argo CD"
	case labels["kustomize.toolkit.fluxcd.io/name"] != "", labels["helm.toolkit.fluxcd.io/name"] != "":
		return "Flux"
	}
	return ""
}

// few names the first of some fields.
func few(fields []string) string {
	const shown = 2
	text := strings.Join(fields[:min(shown, len(fields))], ", ")
	if more := len(fields) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more fields", more)
	}
	return text
}
