package observability

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// MetricsAPIMissing finds clusters that cannot tell what their pods use.
//
// The resource metrics API is what kubectl top and every autoscaler on CPU or
// memory read. Where it is absent or does not answer, nothing scales, and
// nothing says so until the peak.
// https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
func MetricsAPIMissing() practice.Practice {
	return practice.Practice{
		ID:       "metrics-api-missing",
		Title:    "Cluster without the resource metrics API",
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Reason: "The resource metrics API is what kubectl top and every autoscaler on CPU or memory read. " +
			"Where it is absent or does not answer, nothing scales, and nothing says so until the peak.",
		Judged: "Whether metrics.k8s.io is served and its list of nodes answers.",
		Fix:    "install metrics-server: kubectl apply -f https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml",
		Sources: []string{
			"https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/",
			"https://github.com/kubernetes-sigs/metrics-server",
		},
		LiveOnly:     true,
		ClusterScope: true,
		Uses:         []cluster.Kind{cluster.NodeMetrics}, // that it cannot be read is the finding
		Check: func(s *cluster.Snapshot) practice.Verdict {
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			switch metrics := s.Coverage(cluster.NodeMetrics); metrics.State {
			case cluster.Read:
			case cluster.Absent:
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "metrics.k8s.io is not served: kubectl top and autoscalers on CPU or memory have no figures"))
			case cluster.Failed:
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "metrics.k8s.io is registered but unavailable: %s", metrics.Reason).
					Mended("kubectl describe apiservice v1beta1.metrics.k8s.io"))
			default:
				v.NotChecked = "node metrics could not be read: " + metrics.Reason
			}
			return v
		},
	}
}
