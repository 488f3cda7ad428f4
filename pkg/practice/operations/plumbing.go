package operations

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// APIServiceUnavailable finds APIs that are registered and do not answer.
//
// https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
func APIServiceUnavailable() practice.Practice {
	return practice.Practice{
		ID:       "apiservice-unavailable",
		Title:    "Registered API that does not answer",
		Chapter:  practice.Operations,
		Severity: report.Critical,
		Now:      true,
		Reason:   "Discovery asks every registered API. One that does not answer slows each kubectl down, stops namespaces from being deleted and the garbage collector from working.",
		Judged:   "Each APIService whose condition Available is not true, with the API server's own reason.",
		Fix:      "mend the Service behind it, or delete the APIService of what was uninstalled",
		Sources:  []string{"https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/", "https://kubernetes.io/docs/tasks/extend-kubernetes/setup-extension-api-server/"},
		LiveOnly: true, ClusterScope: true,
		Needs: []cluster.Kind{cluster.APIServices},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, api := range s.APIServices {
				ref := cluster.RefOf("apiregistration.k8s.io/v1", "APIService", &api.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				available := meta.FindStatusCondition(api.Status.Conditions, "Available")
				if available == nil || available.Status == "True" {
					continue
				}
				behind := ""
				if api.Spec.Service != nil {
					behind = fmt.Sprintf("Service %s/%s: ", api.Spec.Service.Namespace, api.Spec.Service.Name)
				}
				v.Findings = append(v.Findings, practice.On(ref, "status.conditions", "not available (%s): %s%s", available.Reason, behind, strings.TrimSpace(available.Message)).
					Mended("mend its Service, or kubectl delete apiservice %s", api.Name))
			}
			return v
		},
	}
}

// NamespaceStuck finds namespaces that were deleted and are still there.
//
// https://kubernetes.io/docs/tasks/administer-cluster/namespaces/#deleting-a-namespace
func NamespaceStuck() practice.Practice {
	return practice.Practice{
		ID:       "namespace-stuck",
		Title:    "Namespace that does not go away",
		Chapter:  practice.Operations,
		Severity: report.Critical,
		Reason:   "A namespace stays while anything in it has a finalizer that nobody removes, or while an API cannot be asked what is left. Nothing can be created there again.",
		Judged:   "Namespaces deleted more than 15 minutes ago, with what their conditions say is left.",
		Fix:      "bring back the controller whose finalizer is left, or the API that does not answer; do not remove the namespace's own finalizer",
		Sources:  []string{"https://kubernetes.io/docs/tasks/administer-cluster/namespaces/#deleting-a-namespace", "https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Namespaces},
		Check: practice.EachNamespace(nil, func(s *cluster.Snapshot, ns *corev1.Namespace) []practice.Finding {
			if ns.DeletionTimestamp == nil || s.Time.Sub(ns.DeletionTimestamp.Time) < 15*time.Minute {
				return nil
			}
			var left []string
			for _, c := range ns.Status.Conditions {
				if c.Status == corev1.ConditionTrue {
					left = append(left, strings.TrimSpace(c.Message))
				}
			}
			return []practice.Finding{practice.On(practice.NamespaceRef(ns.Name), "status.conditions", "was deleted %d minutes ago%s",
				int(s.Time.Sub(ns.DeletionTimestamp.Time).Minutes()), said(strings.Join(left, "; ")))}
		}),
	}
}

// CRDStoredVersionStale finds custom kinds whose next update will be refused.
//
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/
func CRDStoredVersionStale() practice.Practice {
	return practice.Practice{
		ID:       "crd-stored-version-stale",
		Title:    "Custom kind with objects stored in a version that is gone or going",
		Chapter:  practice.Operations,
		Severity: report.Critical,
		Reason: "A custom kind's objects stay in the version they were written in until they are written again. A version that is removed while it is still recorded as stored " +
			"makes the update of the definition fail, and its objects unreadable.",
		Judged: "CustomResourceDefinitions whose status.storedVersions names a version that the spec has not, or no longer serves. " +
			"A stored version that is still served beside the present one is a warning where it is marked deprecated, and in order otherwise.",
		Fix:      "write all objects again in the present version (StorageVersionMigration), then remove the old one from status.storedVersions",
		Sources:  []string{"https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#upgrade-existing-objects-to-a-new-stored-version", "https://kubernetes.io/docs/tasks/manage-kubernetes-objects/storage-version-migration/"},
		LiveOnly: true, ClusterScope: true,
		Needs: []cluster.Kind{cluster.Definitions},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, definition := range s.Definitions {
				ref := cluster.RefOf("apiextensions.k8s.io/v1", "CustomResourceDefinition", &definition.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				for _, stored := range definition.Status.StoredVersions {
					v.Findings = append(v.Findings, staleVersion(ref, definition, stored)...)
				}
			}
			return v
		},
	}
}

func staleVersion(ref cluster.Ref, definition *cluster.Definition, stored string) []practice.Finding {
	at := slices.IndexFunc(definition.Spec.Versions, func(v cluster.DefinitionVersion) bool { return v.Name == stored })
	switch {
	case at < 0:
		return []practice.Finding{practice.On(ref, "status.storedVersions", "objects may be stored as %s, which the definition no longer has", stored)}
	case definition.Spec.Versions[at].Storage:
		return nil
	case !definition.Spec.Versions[at].Served:
		return []practice.Finding{practice.On(ref, "status.storedVersions", "objects may be stored as %s, which is no longer served", stored)}
	case definition.Spec.Versions[at].Deprecated:
		return []practice.Finding{practice.On(ref, "status.storedVersions", "objects may be stored as %s, which is deprecated", stored).As(report.Warning)}
	}
	return nil
}
