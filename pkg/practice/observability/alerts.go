package observability

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// AlertNodeUtilisationMissing finds clusters that are not told of a full node.
func AlertNodeUtilisationMissing() practice.Practice {
	return alertMissing("alert-node-utilisation-missing", "node utilisation", "that a node runs out of CPU, memory or disk",
		"node_cpu_", "node_memory_", "node_filesystem_", "node_load", "instance:node_", "node_namespace_pod_container:", "machine_memory_bytes", "system_cpu_", "k8s_node_cpu_")
}

// AlertRestartLoopMissing finds clusters that are not told of crashing pods.
func AlertRestartLoopMissing() practice.Practice {
	return alertMissing("alert-restart-loop-missing", "restart loops", "that a pod crashes again and again",
		"kube_pod_container_status_restarts_total", "kube_pod_container_status_waiting_reason", "kube_pod_container_status_last_terminated", "k8s_container_restarts")
}

// AlertVolumeUsageMissing finds clusters that are not told of a full volume.
func AlertVolumeUsageMissing() practice.Practice {
	return alertMissing("alert-volume-usage-missing", "volume usage", "that a volume is nearly full", "kubelet_volume_stats_", "k8s_volume_")
}

// AlertCertificateMissing finds clusters that are not told of certificates that end.
func AlertCertificateMissing() practice.Practice {
	return alertMissing("alert-certificate-missing", "certificates that expire", "that a certificate is about to expire",
		"apiserver_client_certificate_expiration_seconds", "certmanager_certificate_expiration_timestamp_seconds", "kubelet_certificate_manager_", "probe_ssl_", "x509_cert_")
}

// AlertAPIServerLatencyMissing finds clusters that are not told of a slow API.
func AlertAPIServerLatencyMissing() practice.Practice {
	return alertMissing("alert-apiserver-latency-missing", "the API server's latency", "that the API server is slow",
		"apiserver_request_sli_duration_seconds", "apiserver_request_slo_duration_seconds", "apiserver_request_duration_seconds", "apiserver_request:", "cluster_quantile:apiserver_request_")
}

// alertMissing is a practice of the guide's list of alerts: each says when to
// wake somebody, and is told apart by the metrics that it is made of.
// https://prometheus.io/docs/practices/alerting/
func alertMissing(id, subject, event string, metrics ...string) practice.Practice {
	return practice.Practice{
		ID:       id,
		Title:    "No alert on " + subject,
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Reason:   "Figures that nobody looks at warn nobody. Without an alert, " + event + " is first noticed by users.",
		Judged: "The alerting rules that a Prometheus of the cluster has loaded, as it says itself (/api/v1/rules, through the API server); where it cannot be asked, those of the PrometheusRules that the operator's Prometheuses select. At least one uses a metric named " + strings.Join(metrics, "…, ") + "…, itself or through a recording rule. " +
			"Whether its threshold is a good one is not judged. Without either there is no verdict; where nothing collects metrics, prometheus-missing says so.",
		Fix:      "add such an alert: kube-prometheus-stack brings one",
		Sources:  []string{"https://prometheus.io/docs/practices/alerting/", "https://github.com/kubernetes-monitoring/kubernetes-mixin"},
		LiveOnly: true, ClusterScope: true,
		Needs: []cluster.Kind{cluster.Prometheuses, cluster.PrometheusRules},
		Uses:  append(cluster.WorkloadKinds(), cluster.Namespaces, cluster.PrometheusLoadedRules),
		Remedy: &practice.Remedy{
			Does: "writes one PrometheusRule for all of the five alerts of the field guide that are missing, with the labels and in the namespace that a Prometheus of the operator selects; " +
				"refused where nothing is seen to collect the metrics that the alert is made of",
			Uses:    []cluster.Kind{cluster.ServiceMonitors, cluster.PodMonitors},
			Propose: addAlerts(id),
		},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			switch {
			case s.WasRead(cluster.PrometheusLoadedRules), len(s.System(cluster.Prometheuses)) > 0:
			case hasPrometheus(s):
				return practice.Verdict{NotChecked: "metrics are collected without the Prometheus operator, and no Prometheus answered through the API server: the alerting rules cannot be seen from here"}
			default:
				return practice.Verdict{} // prometheus-missing's
			}
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			rules := loadedRules(s)
			if !rules.alertOn(metrics) {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "none of %d loaded alerting rules tells %s", len(rules.alerts), event))
			}
			return v
		},
	}
}

// rules are what the Prometheuses of the cluster evaluate.
type rules struct {
	alerts  []string          // expressions
	records map[string]string // expressions by the metric that they record
}

func loadedRules(s *cluster.Snapshot) rules {
	all := rules{records: map[string]string{}}
	if s.Prometheus != nil && s.WasRead(cluster.PrometheusLoadedRules) {
		for _, rule := range s.Prometheus.Rules {
			if rule.Alert {
				all.alerts = append(all.alerts, rule.Query)
			} else {
				all.records[rule.Name] = rule.Query
			}
		}
		return all
	}
	for _, object := range s.System(cluster.PrometheusRules) {
		if !loaded(s, object) {
			continue
		}
		groups, _, _ := unstructured.NestedSlice(object.Object, "spec", "groups")
		for _, group := range groups {
			group, _ := group.(map[string]any)
			list, _, _ := unstructured.NestedSlice(group, "rules")
			for _, rule := range list {
				rule, _ := rule.(map[string]any)
				expression := fmt.Sprint(rule["expr"])
				if name, _ := rule["record"].(string); name != "" {
					all.records[name] = expression
				} else if rule["alert"] != nil {
					all.alerts = append(all.alerts, expression)
				}
			}
		}
	}
	return all
}

// alertOn reports whether an alert uses one of the metrics, or a recording rule
// that does.
func (r rules) alertOn(metrics []string) bool {
	uses := func(expression string) bool {
		return slices.ContainsFunc(metrics, func(metric string) bool { return strings.Contains(expression, metric) })
	}
	var recorded []string
	for name, expression := range r.records {
		if uses(expression) {
			recorded = append(recorded, name)
		}
	}
	return slices.ContainsFunc(r.alerts, func(expression string) bool {
		return uses(expression) || slices.ContainsFunc(recorded, func(name string) bool { return strings.Contains(expression, name) })
	})
}

// AlertRouteMissing finds alerts that reach nobody.
//
// https://prometheus-operator.dev/docs/developer/alerting/
func AlertRouteMissing() practice.Practice {
	return practice.Practice{
		ID:       "alert-route-missing",
		Title:    "Alerts that reach nobody",
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Reason:   "An Alertmanager without a receiver groups, silences and forgets. The alerts fire on a page that nobody has open.",
		Judged: "Where the operator runs a Prometheus: it names an Alertmanager (spec.alerting), and each Alertmanager has an AlertmanagerConfig whose receivers are not all empty, or a secret with its configuration. " +
			"That secret's contents are not read: whether it names anybody is not known.",
		Fix:      "give the Alertmanager a receiver: an AlertmanagerConfig, or the secret with alertmanager.yaml",
		Sources:  []string{"https://prometheus-operator.dev/docs/developer/alerting/", "https://prometheus.io/docs/alerting/latest/configuration/#receiver"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Prometheuses, cluster.Alertmanagers, cluster.AlertmanagerConfigs, cluster.Secrets},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, prometheus := range s.System(cluster.Prometheuses) {
				ref := cluster.RefTo(prometheus)
				v.Judged = append(v.Judged, ref)
				if to, _, _ := unstructured.NestedSlice(prometheus.Object, "spec", "alerting", "alertmanagers"); len(to) == 0 && !hasExtraConfig(prometheus) {
					v.Findings = append(v.Findings, practice.On(ref, "spec.alerting", "sends its alerts to no Alertmanager"))
				}
			}
			receivers := slices.ContainsFunc(s.System(cluster.AlertmanagerConfigs), hasReceiver)
			secrets := map[[2]string]bool{}
			for _, secret := range s.Secrets {
				secrets[[2]string{secret.Namespace, secret.Name}] = true
			}
			for _, manager := range s.System(cluster.Alertmanagers) {
				ref := cluster.RefTo(manager)
				v.Judged = append(v.Judged, ref)
				name := text(manager, "spec", "configSecret")
				if name == "" {
					name = "alertmanager-" + manager.GetName()
				}
				if !receivers && !secrets[[2]string{manager.GetNamespace(), name}] && text(manager, "spec", "alertmanagerConfiguration", "name") == "" {
					v.Findings = append(v.Findings, practice.On(ref, "spec.configSecret", "has neither an AlertmanagerConfig with a receiver nor the Secret %q: its alerts go nowhere", name))
				}
			}
			return v
		},
	}
}

func hasExtraConfig(prometheus *unstructured.Unstructured) bool {
	return text(prometheus, "spec", "additionalAlertManagerConfigs", "name") != ""
}

// hasReceiver reports whether some receiver does more than to have a name.
func hasReceiver(config *unstructured.Unstructured) bool {
	receivers, _, _ := unstructured.NestedSlice(config.Object, "spec", "receivers")
	return slices.ContainsFunc(receivers, func(receiver any) bool {
		fields, _ := receiver.(map[string]any)
		return len(fields) > 1
	})
}
