package pitfalls

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// VersionEndOfLife finds clusters that nobody patches any more.
//
// A minor release of Kubernetes is supported for 14 months. After that a hole
// in it stays open, and the way to a supported release leads through each minor
// between, one at a time.
// https://kubernetes.io/releases/patch-releases/
func VersionEndOfLife() practice.Practice {
	return practice.Practice{
		ID:       "version-end-of-life",
		Title:    "Kubernetes release that is out of support, or soon will be",
		Chapter:  practice.Pitfalls,
		Severity: report.Critical,
		Reason: "A minor release of Kubernetes is supported for 14 months. After that a hole in it stays open, " +
			"and the way to a supported release leads through each minor between, one at a time.",
		Judged: fmt.Sprintf("The minor version of the API server and of each kubelet, against a table in this program of the days on which the project ends its support: 1.%d to 1.%d, as of %s. "+
			"A newer minor is not judged, and is told as not checked where there is nothing else. Critical when support has ended, a warning in the 60 days before. "+
			"A warning too where a provider (EKS, GKE, AKS, OpenShift) may patch it for longer, at a price.", firstMinor, lastMinor, releasesAsOf),
		Fix: "upgrade the control plane one minor at a time, then the nodes",
		Sources: []string{
			"https://kubernetes.io/releases/patch-releases/",
			"https://github.com/kubernetes/website/blob/main/data/releases/eol.yaml",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes},
		Uses:         []cluster.Kind{cluster.Pods},
		Thresholds:   practice.Thresholds{{Name: "days", Value: 60, Meaning: "before a release's end, when the upgrade should be planned"}},
		CheckBy:      checkSupport,
	}
}

func checkSupport(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
	servers := byMinor(apiServerVersions(s))
	groups := servers
	for _, group := range byMinor(kubelets(s)) {
		if len(servers) == 0 || group[0].version.Minor() != servers[len(servers)-1][0].version.Minor() {
			groups = append(groups, group) // what the control plane's own line does not say
		}
	}
	v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
	var unknown []string
	for _, group := range groups {
		if group[0].version.Minor() > lastMinor {
			unknown = append(unknown, minor(group[0].version))
			continue
		}
		v.Findings = append(v.Findings, unsupported(s, group, by.Span("days", 24*time.Hour))...)
	}
	if len(unknown) == len(groups) {
		why := "no version is known"
		if len(unknown) > 0 {
			why = fmt.Sprintf("%s is newer than this program's table of releases, which ends with 1.%d (%s)", unknown[0], lastMinor, releasesAsOf)
		}
		return practice.Verdict{NotChecked: why}
	}
	return v
}

// unsupported tells of components of one minor version.
func unsupported(s *cluster.Snapshot, group []component, soon time.Duration) []practice.Finding {
	v := group[0].version
	what := "the control plane runs"
	if group[0].name == "kubelet" {
		what = fmt.Sprintf("kubelets (%d of %d nodes: %s) run", len(group), len(s.Nodes), places(group))
	}
	end, known := endOfLife(v.Minor())
	last := end.Add(-24 * time.Hour).Format("2 January 2006")
	finding := practice.On(practice.WholeCluster(), "", "%s Kubernetes %s, which nobody has patched for years", what, minor(v))
	switch {
	case known && s.Time.Before(end.Add(-soon)):
		return nil
	case known && s.Time.Before(end):
		return []practice.Finding{practice.On(practice.WholeCluster(), "", "%s Kubernetes %s, whose support ends on %s, in %d days",
			what, minor(v), last, int(end.Sub(s.Time).Hours()/24)).As(report.Warning)}
	case known:
		finding = practice.On(practice.WholeCluster(), "", "%s Kubernetes %s, whose support ended on %s", what, minor(v), last)
	}
	if provider := longerSupport(s, v); provider != "" {
		finding = finding.As(report.Warning)
		finding.Message += "; " + provider + " may patch it for longer"
	}
	return []practice.Finding{finding}
}

// longerSupport names the provider that sells support beyond the project's.
func longerSupport(s *cluster.Snapshot, v *version.Version) string {
	texts := []string{s.Origin.Version}
	for _, node := range s.Nodes {
		kubelet := node.Status.NodeInfo.KubeletVersion
		if parsed, err := version.ParseGeneric(kubelet); err == nil && parsed.Minor() == v.Minor() {
			texts = append(texts, kubelet)
		}
		for label := range node.Labels {
			switch {
			case strings.HasPrefix(label, "kubernetes.azure.com/"):
				return "AKS"
			case strings.HasPrefix(label, "node.openshift.io/"):
				return "OpenShift"
			}
		}
	}
	switch text := strings.Join(texts, " "); {
	case strings.Contains(text, "-eks-"):
		return "EKS"
	case strings.Contains(text, "-gke."):
		return "GKE"
	}
	return ""
}
