package observability

import (
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// LogCollectorMissing finds clusters whose logs end with their pods.
//
// https://kubernetes.io/docs/concepts/cluster-administration/logging/
func LogCollectorMissing() practice.Practice {
	return practice.Practice{
		ID:       "log-collector-missing",
		Title:    "Nothing collects logs",
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Reason:   "A container's log is on its node, and goes with its pod. After an eviction or a lost node, what it said is what nobody can read any more.",
		Judged:   "Whether a DaemonSet mounts the nodes' /var/log from the host, as every collector does (Fluentd, Fluent Bit, Vector, Promtail, Alloy, OpenTelemetry, vendors' agents). Collectors in sidecars, and a provider's own outside the cluster, are not seen.",
		Fix:      "run Fluent Bit, Vector or Alloy as a DaemonSet, and keep the logs outside the nodes",
		Sources:  []string{"https://kubernetes.io/docs/concepts/cluster-administration/logging/#cluster-level-logging-architectures"},
		LiveOnly: true, ClusterScope: true,
		Needs: []cluster.Kind{cluster.DaemonSets},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			if len(collectors(s)) == 0 {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "none of %d DaemonSets reads the nodes' logs", len(s.DaemonSets)))
			}
			return v
		},
	}
}

// collectors are the DaemonSets that read their nodes' logs.
func collectors(s *cluster.Snapshot) []*cluster.Workload {
	var all []*cluster.Workload
	for _, d := range s.DaemonSets {
		w := s.WorkloadByRef(cluster.RefOf("apps/v1", "DaemonSet", &d.ObjectMeta))
		for _, volume := range d.Spec.Template.Spec.Volumes {
			if host := volume.HostPath; host != nil && slices.Contains([]string{"/var/log", "/var/log/pods", "/var/log/containers", "/var/lib/docker/containers"}, strings.TrimSuffix(host.Path, "/")) && w != nil {
				all = append(all, w)
				break
			}
		}
	}
	return all
}

// LogCollectorGaps finds nodes whose logs nobody collects.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations
func LogCollectorGaps() practice.Practice {
	return practice.Practice{
		ID:       "log-collector-gaps",
		Title:    "Nodes without a log collector",
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Reason:   "A collector that does not tolerate a node's taint, or does not fit on it, leaves that node's pods without logs: often the control plane's, or the GPU pool's.",
		Judged:   "Each node against the running pods of the DaemonSets that read the nodes' logs. Where there is none at all, log-collector-missing says so.",
		Fix:      "let the collector tolerate the nodes' taints, and give it a priority that fits",
		Sources:  []string{"https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations", "https://kubernetes.io/docs/concepts/cluster-administration/logging/"},
		LiveOnly: true, ClusterScope: true,
		Needs: []cluster.Kind{cluster.DaemonSets, cluster.Pods, cluster.Nodes},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			all := collectors(s)
			if len(all) == 0 {
				return v
			}
			covered := map[string]bool{}
			for _, w := range all {
				for _, pod := range w.Pods {
					if pod.Status.Phase == "Running" {
						covered[pod.Spec.NodeName] = true
					}
				}
			}
			for _, node := range s.Nodes {
				ref := cluster.RefOf("v1", "Node", &node.ObjectMeta)
				v.Judged = append(v.Judged, ref)
				if !covered[node.Name] {
					v.Findings = append(v.Findings, practice.On(ref, "", "no running pod of %s collects the logs of its %d pods", all[0].Owner.String(), len(s.PodsOn(node.Name))))
				}
			}
			return v
		},
	}
}

// LogStoreUnhealthy finds log stores that lose what they are sent.
//
// https://www.elastic.co/guide/en/cloud-on-k8s/current/k8s-deploy-elasticsearch.html
func LogStoreUnhealthy() practice.Practice {
	return practice.Practice{
		ID:       "log-store-unhealthy",
		Title:    "Log store that is not healthy",
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Now:      true,
		Reason:   "A log store that cannot write makes its collectors buffer, then drop. The hour that is missing is the hour of the outage.",
		Judged:   "The operators' own word: the health of Elasticsearch (ECK) and of OpenSearch clusters, red being critical and yellow a warning, and the conditions of LokiStacks. Stores without an operator are judged as the workloads they are.",
		Fix:      "read the store's own status",
		Sources:  []string{"https://www.elastic.co/docs/deploy-manage/deploy/cloud-on-k8s", "https://loki-operator.dev/docs/api.md/"},
		LiveOnly: true,
		Judges:   []cluster.Kind{cluster.Elasticsearches, cluster.OpenSearches, cluster.LokiStacks},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, store := range append(s.System(cluster.Elasticsearches), s.System(cluster.OpenSearches)...) {
				ref := cluster.RefTo(store)
				v.Judged = append(v.Judged, ref)
				switch health := text(store, "status", "health"); health {
				case "red":
					v.Findings = append(v.Findings, practice.On(ref, "status.health", "is red: some of its data cannot be read or written").As(report.Critical))
				case "yellow":
					v.Findings = append(v.Findings, practice.On(ref, "status.health", "is yellow: some of its data has no second copy"))
				}
			}
			for _, store := range s.System(cluster.LokiStacks) {
				ref := cluster.RefTo(store)
				v.Judged = append(v.Judged, ref)
				for _, kind := range []string{"Failed", "Degraded"} {
					if c, found := cluster.ConditionOf(store.Object, kind); found && c.Status == "True" {
						v.Findings = append(v.Findings, practice.On(ref, "status.conditions", "%s (%s): %s", strings.ToLower(kind), c.Reason, c.Message))
					}
				}
			}
			return v
		},
	}
}
