package pitfalls

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// VersionSkew finds components that are too far apart to be tested together.
//
// Kubernetes tests an API server with kubelets up to three minors older, and
// with nothing newer than itself. Beyond that, what one sends the other may
// not know: pods are lost in ways that no release note mentions.
// https://kubernetes.io/releases/version-skew-policy/
func VersionSkew() practice.Practice {
	return practice.Practice{
		ID:       "version-skew",
		Title:    "Components of Kubernetes too many versions apart",
		Chapter:  practice.Pitfalls,
		Severity: report.Critical,
		Reason: "Kubernetes tests an API server with kubelets up to three minor versions older, and with nothing newer than itself. " +
			"Beyond that nobody knows what happens, and upgrades of the control plane must wait for the nodes.",
		Judged: "By minor version, not newer than the oldest API server that is known, and against the newest: kubelets not more than 3 older (2 before 1.25); " +
			"kube-controller-manager and kube-scheduler not more than 1; kube-proxy like a kubelet; and API servers not more than 1 apart. " +
			"Of the control plane, only what shows itself as pods, by the tags of their images. A warning where the next minor of the control plane would leave kubelets behind.",
		Fix: "upgrade what is older: the control plane first, then the nodes, one minor at a time",
		Sources: []string{
			"https://kubernetes.io/releases/version-skew-policy/",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Needs:        []cluster.Kind{cluster.Nodes},
		Uses:         []cluster.Kind{cluster.Pods},
		Check:        checkSkew,
	}
}

func checkSkew(s *cluster.Snapshot) practice.Verdict {
	servers := byMinor(apiServerVersions(s))
	if len(servers) == 0 {
		return practice.Verdict{NotChecked: "the API server's version is not known"}
	}
	v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
	tell := func(severity report.Severity, format string, args ...any) {
		v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", format, args...).As(severity))
	}
	oldest, newest := servers[0][0].version, servers[len(servers)-1][0].version
	if newest.Minor() > oldest.Minor()+1 {
		tell(report.Critical, "the API servers are of %s and %s, more than 1 minor version apart (%s)", minor(oldest), minor(newest), places(servers[0]))
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		judgeSkew(byMinor(controlPlanePods(s, name)), oldest, newest, func(*version.Version) uint { return 1 }, tell)
	}
	judgeSkew(byMinor(controlPlanePods(s, "kube-proxy")), oldest, newest, olderNode, tell)
	judgeSkew(byMinor(kubelets(s)), oldest, newest, olderNode, tell)
	return v
}

// olderNode is how many minor versions older than the API server a component on
// a node may be.
func olderNode(v *version.Version) uint {
	if v.Minor() < 25 {
		return 2
	}
	return 3
}

// judgeSkew judges components, grouped by minor version: the oldest API server
// says how new they may be, and the newest how old.
func judgeSkew(groups [][]component, oldest, newest *version.Version, mayLag func(*version.Version) uint, tell func(report.Severity, string, ...any)) {
	for _, group := range groups {
		v := group[0].version
		what := fmt.Sprintf("%s %s of %s", group[0].name, minor(v), places(group))
		switch {
		case v.Major() != oldest.Major():
		case v.Minor() > oldest.Minor():
			tell(report.Critical, "%s is newer than the API server (%s)", what, minor(oldest))
		case newest.Minor()-v.Minor() > mayLag(v):
			tell(report.Critical, "%s is %d minor versions older than the API server (%s), and may be %d", what, newest.Minor()-v.Minor(), minor(newest), mayLag(v))
		case group[0].name == "kubelet" && newest.Minor()-v.Minor() == mayLag(v):
			tell(report.Warning, "%s is as old as the API server (%s) allows: the control plane cannot be upgraded before them", what, minor(newest))
		}
	}
}
