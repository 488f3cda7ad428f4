package operations

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// gitOpsKinds are what Argo CD and Flux deploy by.
func gitOpsKinds() []cluster.Kind {
	return []cluster.Kind{cluster.ArgoApplications, cluster.FluxKustomizations, cluster.FluxHelmReleases}
}

func gitOpsObjects(s *cluster.Snapshot) []*unstructured.Unstructured {
	var all []*unstructured.Unstructured
	for _, kind := range gitOpsKinds() {
		all = append(all, s.System(kind)...)
	}
	return all
}

// GitOpsMissing finds clusters whose state is in nobody's history.
//
// https://opengitops.dev/
func GitOpsMissing() practice.Practice {
	return practice.Practice{
		ID:       "gitops-missing",
		Title:    "Cluster that nothing deploys from Git",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "What was applied by hand has no history, no review and no way back, and no cluster is built a second time from it.",
		Judged: "Whether the cluster has an Argo CD Application, a Flux Kustomization or a Flux HelmRelease, or workloads that carry the mark of Rancher Fleet or Config Sync. " +
			"A pipeline that applies from outside leaves no sign in the cluster.",
		Fix:          "deploy with Argo CD or Flux from a repository",
		Sources:      []string{"https://opengitops.dev/", "https://argo-cd.readthedocs.io/en/stable/", "https://fluxcd.io/flux/concepts/"},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        gitOpsKinds(),
		Judges:       cluster.WorkloadKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			if len(gitOpsObjects(s)) > 0 {
				return v
			}
			users := 0
			for _, w := range s.Workloads() {
				if deployer(w) != "" {
					return v
				}
				if !w.IsPlatform() {
					users++
				}
			}
			v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "no Argo CD Application, Flux Kustomization or HelmRelease: %d workloads are in no repository that this cluster knows of", users))
			return v
		},
	}
}

// GitOpsOutOfSync finds deployments that are not what Git says.
//
// https://argo-cd.readthedocs.io/en/stable/operator-manual/health/
func GitOpsOutOfSync() practice.Practice {
	return practice.Practice{
		ID:       "gitops-out-of-sync",
		Title:    "Deployment from Git that is out of sync or unhealthy",
		Chapter:  practice.Operations,
		Severity: report.Warning,
		Reason:   "What runs is not what was reviewed: a change never arrived, or somebody changed the cluster by hand, and the next sync will undo it.",
		Judged: "Argo CD Applications whose sync status is OutOfSync, or whose health is Degraded or Missing, and Flux Kustomizations and HelmReleases whose condition Ready has been false for 10 minutes, " +
			"with the controller's own message. Suspended ones are gitops-suspended's.",
		Fix:      "read the controller's message, and mend the repository",
		Sources:  []string{"https://argo-cd.readthedocs.io/en/stable/operator-manual/health/", "https://fluxcd.io/flux/components/kustomize/kustomizations/#kustomization-status"},
		LiveOnly: true,
		Judges:   gitOpsKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, app := range s.System(cluster.ArgoApplications) {
				ref := cluster.RefTo(app)
				v.Judged = append(v.Judged, ref)
				sync, health := text(app, "status", "sync", "status"), text(app, "status", "health", "status")
				if sync == "OutOfSync" || health == "Degraded" || health == "Missing" {
					v.Findings = append(v.Findings, practice.On(ref, "status", "sync %s, health %s%s", orUnknown(sync), orUnknown(health), said(text(app, "status", "operationState", "message"))).
						Mended("argocd app diff %s", app.GetName()))
				}
			}
			for _, object := range append(s.System(cluster.FluxKustomizations), s.System(cluster.FluxHelmReleases)...) {
				ref := cluster.RefTo(object)
				v.Judged = append(v.Judged, ref)
				ready, found := cluster.ConditionOf(object.Object, "Ready")
				if found && ready.Status == "False" && !suspended(object) && s.Time.Sub(ready.Since) >= 10*time.Minute {
					v.Findings = append(v.Findings, practice.On(ref, "status.conditions", "not ready (%s)%s", ready.Reason, said(ready.Message)))
				}
			}
			return v
		},
	}
}

// GitOpsSuspended finds deployments that somebody paused and forgot.
//
// https://fluxcd.io/flux/cmd/flux_suspend/
func GitOpsSuspended() practice.Practice {
	return practice.Practice{
		ID:       "gitops-suspended",
		Title:    "Deployment from Git that is suspended",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "Syncing is paused for an incident and forgotten after it. From then on merges deploy nothing, and nobody is told.",
		Judged:   "Flux Kustomizations and HelmReleases with spec.suspend, and Argo CD Applications without an automated sync policy, for which each sync is somebody's click.",
		Fix:      "resume it: flux resume, or give the Application spec.syncPolicy.automated",
		Sources:  []string{"https://fluxcd.io/flux/cmd/flux_suspend/", "https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/"},
		LiveOnly: true,
		Judges:   gitOpsKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, object := range gitOpsObjects(s) {
				ref := cluster.RefTo(object)
				v.Judged = append(v.Judged, ref)
				switch _, automated, _ := unstructured.NestedMap(object.Object, "spec", "syncPolicy", "automated"); {
				case suspended(object):
					v.Findings = append(v.Findings, practice.On(ref, "spec.suspend", "is suspended: changes in Git do not reach the cluster").
						Mended("flux resume %s %s -n %s", strings.ToLower(object.GetKind()), object.GetName(), object.GetNamespace()))
				case object.GetKind() == "Application" && !automated:
					v.Findings = append(v.Findings, practice.On(ref, "spec.syncPolicy", "has no automated sync: changes in Git wait for somebody to sync them"))
				}
			}
			return v
		},
	}
}

// GitOpsUnmanaged finds workloads beside those that come from Git.
//
// https://opengitops.dev/
func GitOpsUnmanaged() practice.Practice {
	return practice.Practice{
		ID:       "gitops-unmanaged",
		Title:    "Workload that no deployment from Git owns",
		Chapter:  practice.Operations,
		Severity: report.Info,
		Reason:   "In a cluster that is deployed from Git, what was applied by hand is what is missing when the cluster is built again.",
		Judged: "Where Argo CD or Flux deploy something: each workload without their mark and without an owner, the platform's and Jobs excepted. " +
			"The mark of Argo CD is its tracking annotation or app.kubernetes.io/instance with the name of an Application. Helm's own releases that neither deploys count as unmanaged.",
		Fix:      "put it into the repository, or delete it",
		Sources:  []string{"https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/", "https://fluxcd.io/flux/faq/"},
		LiveOnly: true,
		Needs:    gitOpsKinds(),
		Judges:   []cluster.Kind{cluster.Deployments, cluster.StatefulSets, cluster.DaemonSets, cluster.CronJobs},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			apps := map[string]bool{}
			for _, app := range s.System(cluster.ArgoApplications) {
				apps[app.GetName()] = true
			}
			if len(gitOpsObjects(s)) == 0 {
				return practice.Verdict{} // gitops-missing's
			}
			return practice.EachWorkload(editable, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				if deployer(w) != "" || apps[w.Meta.Labels["app.kubernetes.io/instance"]] {
					return nil
				}
				return []practice.Finding{practice.On(w.Owner, "metadata", "carries the mark of neither Argo CD nor Flux")}
			})(s)
		},
	}
}

// editable reports whether a Workload is a person's own object.
func editable(w *cluster.Workload) bool {
	return w.Owner == w.Self && !w.IsPlatform() && w.Self.Kind != "Pod" && w.Self.Kind != "Job"
}

// deployer names what deploys a Workload from Git, by the mark it leaves.
func deployer(w *cluster.Workload) string {
	switch labels, annotations := w.Meta.Labels, w.Meta.Annotations; {
	case annotations["argocd.argoproj.io/tracking-id"] != "", labels["argocd.argoproj.io/instance"] != "":
		return "Argo CD"
	case labels["kustomize.toolkit.fluxcd.io/name"] != "", labels["helm.toolkit.fluxcd.io/name"] != "":
		return "Flux"
	case labels["app.kubernetes.io/part-of"] == "argocd", labels["app.kubernetes.io/part-of"] == "flux":
		return "itself" // Argo CD's and Flux's own controllers
	case annotations["objectset.rio.cattle.io/id"] != "":
		return "Fleet"
	case labels["configsync.gke.io/inventory-id"] != "", annotations["configmanagement.gke.io/managed"] != "":
		return "Config Sync"
	}
	return ""
}

func suspended(object *unstructured.Unstructured) bool {
	suspend, _, _ := unstructured.NestedBool(object.Object, "spec", "suspend")
	return suspend
}

// text is a string within a custom object; "" when it is not there.
func text(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return strings.Join(strings.Fields(value), " ")
}

func orUnknown(value string) string {
	if value == "" {
		return "unknown"
	}
	return value
}

func said(message string) string {
	if message == "" {
		return ""
	}
	return fmt.Sprintf(": %s", message)
}
