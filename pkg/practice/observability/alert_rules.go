package observability

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// essentials is the name of the one PrometheusRule.
const essentials = "production-essentials"

// essential is one of the field guide's five alerts.
type essential struct {
	practice practice.Practice // that misses it
	group    string
	// unmeasured says why its metrics are not there; "" when they are.
	unmeasured func(*cluster.Snapshot) string
	rules      func(*cluster.Snapshot) []rule
}

// rule is an alerting rule.
type rule struct {
	alert, expression, lasting, severity, summary, description string
}

// essentialAlerts are the five, with thresholds of the guide's where it names one.
// https://github.com/kubernetes-monitoring/kubernetes-mixin has their likes.
func essentialAlerts() []essential {
	return []essential{
		{
			AlertNodeUtilisationMissing(), "node-utilisation", lacksProgram("node-exporter", "the nodes' figures"),
			always(
				rule{"NodeCPUUtilisationHigh", `1 - avg without (cpu) (rate(node_cpu_seconds_total{mode="idle"}[5m])) > 0.8`, "15m", "warning",
					"Node {{ $labels.instance }} uses {{ $value | humanizePercentage }} of its CPU.", "What peaks next is slowed down. Add nodes, or move pods."},
				rule{"NodeMemoryUtilisationHigh", `1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > 0.8`, "15m", "warning",
					"Node {{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory.", "The kubelet evicts pods when none is left. Add nodes, or move pods."},
				rule{"NodeFilesystemUtilisationHigh", `1 - node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"} / node_filesystem_size_bytes > 0.8`, "30m", "warning",
					"Node {{ $labels.instance }} uses {{ $value | humanizePercentage }} of {{ $labels.mountpoint }}.", "The kubelet deletes images, then evicts pods, when it is full."},
			),
		},
		{
			AlertRestartLoopMissing(), "restart-loops", lacksProgram("kube-state-metrics", "what pods do"),
			always(
				rule{"PodCrashLooping", `max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m]) >= 1`, "15m", "warning",
					"Container {{ $labels.container }} of pod {{ $labels.namespace }}/{{ $labels.pod }} crashes again and again.", "kubectl logs --previous shows its last words."},
				rule{"PodRestartingOften", `increase(kube_pod_container_status_restarts_total[1h]) > 5`, "", "warning",
					"Container {{ $labels.container }} of pod {{ $labels.namespace }}/{{ $labels.pod }} restarted {{ $value | humanize }} times within an hour.", "It runs between its crashes for too long to be in CrashLoopBackOff."},
			),
		},
		{
			AlertVolumeUsageMissing(), "volume-usage", lacksMonitor("kubelet", "the kubelet"),
			always(
				rule{"PersistentVolumeUsageHigh", `1 - kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes > 0.85`, "5m", "warning",
					"The volume of {{ $labels.namespace }}/{{ $labels.persistentvolumeclaim }} is {{ $value | humanizePercentage }} full.", "Expand the claim, or delete what it holds."},
				rule{"PersistentVolumeInodesHigh", `kubelet_volume_stats_inodes_used / kubelet_volume_stats_inodes > 0.85`, "5m", "warning",
					"The volume of {{ $labels.namespace }}/{{ $labels.persistentvolumeclaim }} has used {{ $value | humanizePercentage }} of its inodes.", "It is full of small files: no more can be made."},
			),
		},
		{AlertCertificateMissing(), "certificates", certificatesUnmeasured, certificateRules},
		{
			AlertAPIServerLatencyMissing(), "apiserver-latency", lacksMonitor("apiserver", "the API server"),
			always(
				rule{"APIServerLatencyHigh", `histogram_quantile(0.99, sum by (verb, resource, le) (rate(apiserver_request_sli_duration_seconds_bucket{verb!~"WATCH|CONNECT"}[5m]))) > 1`, "10m", "warning",
					"{{ $labels.verb }} {{ $labels.resource }} takes the API server {{ $value | humanizeDuration }} at the 99th percentile.", "Look at etcd's disks, at webhooks, and at who asks for so much."},
			),
		},
	}
}

func always(rules ...rule) func(*cluster.Snapshot) []rule {
	return func(*cluster.Snapshot) []rule { return rules }
}

// certificateRules watch the client certificates that the API server sees and,
// of those that something in the cluster keeps, the kubelets' and cert-manager's.
func certificateRules(s *cluster.Snapshot) []rule {
	var rules []rule
	if lacksMonitor("apiserver", "")(s) == "" {
		rules = append(rules, rule{"ClientCertificateExpiring",
			`histogram_quantile(0.01, sum by (job, instance, le) (rate(apiserver_client_certificate_expiration_seconds_bucket[5m]))) < 604800 and on (job, instance) apiserver_client_certificate_expiration_seconds_count > 0`, "5m", "warning",
			"A client certificate with which the API server is asked expires in {{ $value | humanizeDuration }}.", "Whoever uses it is locked out then; the API server does not tell who."})
	}
	if lacksMonitor("kubelet", "")(s) == "" {
		rules = append(rules, rule{"KubeletCertificateExpiring", `kubelet_certificate_manager_client_ttl_seconds < 604800 or kubelet_certificate_manager_server_ttl_seconds < 604800`, "15m", "warning",
			"A certificate of the kubelet on {{ $labels.instance }} expires in {{ $value | humanizeDuration }}.", "Its rotation does not work: the node is lost when it ends."})
	}
	if lacksMonitor("cert-manager", "")(s) == "" {
		rules = append(rules, rule{"CertificateExpiring", `certmanager_certificate_expiration_timestamp_seconds - time() < 1209600`, "1h", "warning",
			"Certificate {{ $labels.exported_namespace }}/{{ $labels.name }} expires in {{ $value | humanizeDuration }}.", "cert-manager should have renewed it: kubectl describe certificate tells why not."})
	}
	return rules
}

func certificatesUnmeasured(s *cluster.Snapshot) string {
	if len(certificateRules(s)) > 0 {
		return ""
	}
	return "no ServiceMonitor or PodMonitor is seen to scrape the API server, the kubelets or cert-manager: an alert on their certificates would never fire"
}

// lacksProgram says that the program whose metrics an alert is made of runs
// nowhere.
func lacksProgram(image, figures string) func(*cluster.Snapshot) string {
	return func(s *cluster.Snapshot) string {
		if runs(s, image) {
			return ""
		}
		return fmt.Sprintf("%s runs nowhere, and nothing else is known to bring %s: the alert would never fire", image, figures)
	}
}

// lacksMonitor says that no monitor is about a component: by its name, or the
// values that it selects, as kube-prometheus and its chart have them.
func lacksMonitor(component, spoken string) func(*cluster.Snapshot) string {
	return func(s *cluster.Snapshot) string {
		for _, kind := range []cluster.Kind{cluster.ServiceMonitors, cluster.PodMonitors} {
			for _, monitor := range s.System(kind) {
				selected, _, _ := unstructured.NestedStringMap(monitor.Object, "spec", "selector", "matchLabels")
				names := []string{monitor.GetName()}
				for _, value := range selected {
					names = append(names, value)
				}
				if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, component) }) {
					return ""
				}
			}
		}
		return fmt.Sprintf("no ServiceMonitor or PodMonitor is seen to scrape %s: the alert would never fire", spoken)
	}
}

// addAlerts proposes the one PrometheusRule, with every alert that is missing
// and can be measured: whichever of the findings asks for it.
func addAlerts(asked string) func(*cluster.Snapshot, practice.Finding) practice.Proposal {
	return func(s *cluster.Snapshot, _ practice.Finding) practice.Proposal {
		var groups []any
		var named []string
		for _, e := range essentialAlerts() {
			why := e.unmeasured(s)
			if why != "" && e.practice.ID == asked {
				return practice.Refuse("%s", why)
			}
			if why == "" && len(e.practice.Verdict(s).Findings) > 0 {
				groups, named = append(groups, e.asGroup(s)), append(named, e.group)
			}
		}
		if len(groups) == 0 {
			return practice.Refuse("a loaded rule covers it already")
		}
		ref, labels, why := whereLoaded(s)
		if why != "" {
			return practice.Refuse("%s", why)
		}
		written := change.Change{Object: ref, Create: map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"groups": groups}}}
		if slices.ContainsFunc(s.System(cluster.PrometheusRules), func(r *unstructured.Unstructured) bool { return cluster.RefTo(r) == ref }) {
			written = change.Change{Object: ref}
			for i, group := range groups {
				written.Edits = append(written.Edits, change.Set(group, "spec", "groups", change.Item("name", named[i])))
			}
		}
		return practice.Propose(written).Because("missing and measured here: %s", strings.Join(named, ", ")).
			Risking("the alerts go where the Prometheus sends all of its own: see that somebody receives them")
	}
}

func (e essential) asGroup(s *cluster.Snapshot) map[string]any {
	var rules []any
	for _, r := range e.rules(s) {
		fields := map[string]any{
			"alert": r.alert, "expr": r.expression, "labels": map[string]any{"severity": r.severity},
			"annotations": map[string]any{"summary": r.summary, "description": r.description},
		}
		if r.lasting != "" {
			fields["for"] = r.lasting
		}
		rules = append(rules, fields)
	}
	return map[string]any{"name": e.group, "rules": rules}
}

// whereLoaded is where, and with which labels, a rule is taken up by some
// Prometheus of the operator.
func whereLoaded(s *cluster.Snapshot) (ref cluster.Ref, wanted map[string]any, why string) {
	all := slices.Clone(s.System(cluster.Prometheuses))
	slices.SortFunc(all, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
	})
	for _, prometheus := range all {
		candidate := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule"}}
		candidate.SetName(essentials)
		candidate.SetLabels(labelsFor(prometheus))
		namespaces := []string{prometheus.GetNamespace()}
		for _, ns := range s.Namespaces {
			namespaces = append(namespaces, ns.Name)
		}
		for _, namespace := range namespaces {
			candidate.SetNamespace(namespace)
			if loads(s, prometheus, candidate) {
				wanted := map[string]any{}
				for key, value := range candidate.GetLabels() {
					wanted[key] = value
				}
				return cluster.RefTo(candidate), wanted, ""
			}
		}
	}
	return ref, nil, fmt.Sprintf("none of %d Prometheuses selects a rule by labels that could be given to one (spec.ruleSelector): see prometheus-rules-unloaded", len(all))
}

// labelsFor are labels that a Prometheus' ruleSelector matches, if it can be
// met by having labels; whether it is, [loads] tells.
func labelsFor(prometheus *unstructured.Unstructured) map[string]string {
	raw, _, _ := unstructured.NestedMap(prometheus.Object, "spec", "ruleSelector")
	selector := &metav1.LabelSelector{}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(raw, selector) != nil {
		return nil
	}
	wanted := map[string]string{}
	maps.Copy(wanted, selector.MatchLabels)
	for _, e := range selector.MatchExpressions {
		switch {
		case e.Operator == metav1.LabelSelectorOpIn && len(e.Values) > 0:
			wanted[e.Key] = e.Values[0]
		case e.Operator == metav1.LabelSelectorOpExists:
			wanted[e.Key] = "true"
		}
	}
	return wanted
}
