package operations

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// newestRelease is the Kubernetes release whose types this build knows
// (k8s.io/api v0.37): what was removed by then is refused by current clusters.
const newestRelease = "1.37"

// DeprecatedAPI finds what the next upgrade takes away.
//
// Beta versions of an API are served for a few releases after the stable one.
// With the release that removes them every apply of the old manifest fails, and
// so does every program that asks for them.
// https://kubernetes.io/docs/reference/using-api/deprecation-guide/
func DeprecatedAPI() practice.Practice {
	return practice.Practice{
		ID:       "deprecated-api",
		Title:    "Deprecated or removed version of an API",
		Chapter:  practice.Operations,
		Severity: report.Warning,
		Reason: "A deprecated version is served for a few releases. With the one that removes it, every apply of the old manifest fails, " +
			"and so does every program that asks for it: on the day of the upgrade.",
		Judged: "Manifests by the version in which they are written, built-in kinds only: critical when Kubernetes " + newestRelease + " no longer serves it. " +
			"Live by the API server's gauge apiserver_requested_deprecated_apis: what anybody asked this server for since it started; critical when the next release removes it, " +
			"and an info while no release is named. Stored objects say nothing: they are served in every version.",
		Fix:     "write it in the current version: kubectl convert, or the client's next release",
		Sources: []string{"https://kubernetes.io/docs/reference/using-api/deprecation-guide/", "https://kubernetes.io/docs/reference/instrumentation/metrics/ (apiserver_requested_deprecated_apis)"},
		Uses:    []cluster.Kind{cluster.ServerMetrics},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			v := writtenVersions(s)
			if !s.Origin.Live || len(s.Written) > 0 {
				return v
			}
			if !s.WasRead(cluster.ServerMetrics) {
				return practice.Verdict{NotChecked: "the API server's metrics could not be read: " + s.Coverage(cluster.ServerMetrics).Reason}
			}
			v.Judged = append(v.Judged, practice.WholeCluster())
			for _, api := range s.ServerMetrics.DeprecatedAPIs {
				v.Findings = append(v.Findings, requested(s, api))
			}
			return v
		},
	}
}

// writtenVersions judges manifests.
func writtenVersions(s *cluster.Snapshot) practice.Verdict {
	var v practice.Verdict
	for _, ref := range s.Written {
		v.Judged = append(v.Judged, ref)
		lifecycle, deprecated := cluster.LifecycleOf(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))
		if !deprecated {
			continue
		}
		instead := ""
		if lifecycle.Replacement != "" {
			instead = "; use " + lifecycle.Replacement
		}
		finding := practice.On(ref, "apiVersion", "%s is deprecated since Kubernetes %s%s", ref.APIVersion, lifecycle.Deprecated, instead)
		if lifecycle.Removed != "" && atMost(newestRelease, lifecycle.Removed, 0) {
			finding = practice.On(ref, "apiVersion", "%s %s was removed in Kubernetes %s%s", ref.APIVersion, ref.Kind, lifecycle.Removed, instead).As(report.Critical)
		} else if lifecycle.Removed != "" {
			finding.Message += ", and goes with " + lifecycle.Removed
		}
		v.Findings = append(v.Findings, finding)
	}
	return v
}

// requested words a version that somebody asked the API server for.
func requested(s *cluster.Snapshot, api cluster.DeprecatedAPI) practice.Finding {
	name := fmt.Sprintf("%s of %s", api.Resource, schema.GroupVersion{Group: api.Group, Version: api.Version})
	mend := "find who asks for it in the audit log, by the annotation k8s.io/deprecated"
	if api.Removed == "" {
		return practice.On(practice.WholeCluster(), "", "somebody asks for %s, which is deprecated; no release that removes it is named", name).As(report.Info).Mended("%s", mend)
	}
	finding := practice.On(practice.WholeCluster(), "", "somebody asks for %s, which Kubernetes %s removes; this is %s", name, api.Removed, s.Origin.Version).Mended("%s", mend)
	if atMost(s.Origin.Version, api.Removed, 1) {
		finding = finding.As(report.Critical)
	}
	return finding
}

// atMost reports whether a release is at most so many minor versions away from
// a server's.
func atMost(server, release string, minors int) bool {
	now, err := version.ParseGeneric(server)
	then, err2 := version.ParseGeneric(release)
	return err == nil && err2 == nil && int(then.Minor())-int(now.Minor()) <= minors
}
