package observability

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// PrometheusMissing finds clusters that keep no figures.
//
// https://kubernetes.io/docs/concepts/cluster-administration/system-metrics/
func PrometheusMissing() practice.Practice {
	return practice.Practice{
		ID:       "prometheus-missing",
		Title:    "Nothing collects metrics",
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Reason:   "Without figures over time nobody is told before users are, and after an outage nobody can say what came first.",
		Judged: "Whether the Prometheus operator has a Prometheus or PrometheusAgent, or some workload runs the image of a program that scrapes: Prometheus, VictoriaMetrics, Grafana's agents, " +
			"an OpenTelemetry collector or a vendor's agent. One that scrapes from outside the cluster is not seen.",
		Fix:      "install kube-prometheus-stack, or an agent of the metrics service that you use",
		Sources:  []string{"https://kubernetes.io/docs/concepts/cluster-administration/system-metrics/", "https://prometheus-operator.dev/docs/getting-started/introduction/"},
		LiveOnly: true, ClusterScope: true,
		Needs:  operatorKinds(),
		Judges: cluster.WorkloadKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			if !hasPrometheus(s) {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "none of %d workloads collects metrics, and the Prometheus operator runs none", len(s.Workloads())))
			}
			return v
		},
	}
}

// PrometheusTargetGaps finds metrics that nobody collects.
//
// https://prometheus-operator.dev/docs/developer/getting-started/
func PrometheusTargetGaps() practice.Practice {
	return practice.Practice{
		ID:       "prometheus-target-gaps",
		Title:    "Workload whose metrics nothing scrapes",
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Reason:   "A workload that offers metrics looks watched. Where no monitor selects it, its alerts never fire, because they have no figures.",
		Judged: "Where the operator runs a Prometheus: workloads with a container port named metrics or …-metrics. A ServiceMonitor must select the labels of one of their Services, or a PodMonitor those of their pods. " +
			"Pods with the annotation prometheus.io/scrape: \"true\" are taken as scraped by a job of one's own. Where a Prometheus of the cluster can be asked through the API server, it says itself whether it scrapes a workload's pods, whatever selects them, and whether they answer.",
		Fix:      "create a ServiceMonitor or PodMonitor that selects it",
		Sources:  []string{"https://prometheus-operator.dev/docs/developer/getting-started/", "https://prometheus-operator.dev/docs/api-reference/api/"},
		LiveOnly: true,
		Needs:    append(operatorKinds(), cluster.ServiceMonitors, cluster.PodMonitors, cluster.Services),
		Uses:     []cluster.Kind{cluster.PrometheusScraped},
		Judges:   cluster.WorkloadKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			if s.Prometheus != nil && s.WasRead(cluster.PrometheusScraped) {
				return practice.EachWorkload(offersMetricsNow, unscraped)(s)
			}
			if !hasPrometheusCR(s) {
				return practice.Verdict{}
			}
			services, pods := monitors(s, cluster.ServiceMonitors), monitors(s, cluster.PodMonitors)
			return practice.EachWorkload(offersMetrics, func(_ *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
				scraped := w.Template.Annotations["prometheus.io/scrape"] == "true" ||
					slices.ContainsFunc(pods, func(m monitor) bool { return m.selects(w.Self.Namespace, w.Template.Labels) }) ||
					slices.ContainsFunc(w.Services, func(service *corev1.Service) bool {
						return slices.ContainsFunc(services, func(m monitor) bool { return m.selects(service.Namespace, service.Labels) })
					})
				if scraped {
					return nil
				}
				return []practice.Finding{practice.On(w.Owner, "", "offers metrics on a port named %q, and no ServiceMonitor or PodMonitor selects it", metricsPort(w))}
			})(s)
		},
	}
}

// offersMetricsNow leaves out workloads of which nothing runs.
func offersMetricsNow(w *cluster.Workload) bool {
	return offersMetrics(w) && slices.ContainsFunc(w.Pods, isRunning)
}

func isRunning(pod *cluster.Pod) bool { return pod.Status.Phase == corev1.PodRunning }

// unscraped judges a workload by what Prometheus says of its pods: that it knows
// none of them, or that some do not answer.
func unscraped(s *cluster.Snapshot, w *cluster.Workload) []practice.Finding {
	known, silent, running := 0, 0, 0
	for _, pod := range w.Pods {
		if !isRunning(pod) {
			continue
		}
		running++
		if answers, scraped := s.Prometheus.Scraped[[2]string{pod.Namespace, pod.Name}]; scraped {
			known++
			if !answers {
				silent++
			}
		}
	}
	switch {
	case known == 0:
		return []practice.Finding{practice.On(w.Owner, "", "offers metrics on a port named %q, and Prometheus (%s) scrapes none of its %d running pods", metricsPort(w), s.Prometheus.Service, running)}
	case silent > 0:
		return []practice.Finding{practice.On(w.Owner, "", "%d of its %d scraped pods do not answer Prometheus (up == 0)", silent, known).
			Mended("look at the target's error in Prometheus (%s), under Status, Targets", s.Prometheus.Service)}
	}
	return nil
}

func offersMetrics(w *cluster.Workload) bool { return metricsPort(w) != "" }

// metricsPort is the name of a port that offers metrics; "" when none does.
func metricsPort(w *cluster.Workload) string {
	for c := range w.Containers() {
		for _, port := range c.Ports {
			if port.Name == "metrics" || strings.HasSuffix(port.Name, "-metrics") {
				return port.Name
			}
		}
	}
	return ""
}

// monitor is a ServiceMonitor or PodMonitor: what it selects, and where.
type monitor struct {
	selector   labels.Selector
	namespaces []string // nil is all
}

func monitors(s *cluster.Snapshot, kind cluster.Kind) []monitor {
	var all []monitor
	for _, object := range s.System(kind) {
		selector, set := selectorAt(object.Object, "spec", "selector")
		if !set {
			continue
		}
		m := monitor{selector: selector, namespaces: []string{object.GetNamespace()}}
		if names, found, _ := unstructured.NestedStringSlice(object.Object, "spec", "namespaceSelector", "matchNames"); found {
			m.namespaces = names
		}
		if everywhere, _, _ := unstructured.NestedBool(object.Object, "spec", "namespaceSelector", "any"); everywhere {
			m.namespaces = nil
		}
		all = append(all, m)
	}
	return all
}

func (m monitor) selects(namespace string, set map[string]string) bool {
	return (m.namespaces == nil || slices.Contains(m.namespaces, namespace)) && m.selector.Matches(labels.Set(set))
}

// PrometheusRulesUnloaded finds alerts that no Prometheus knows.
//
// https://prometheus-operator.dev/docs/developer/alerting/
func PrometheusRulesUnloaded() practice.Practice {
	return practice.Practice{
		ID:       "prometheus-rules-unloaded",
		Title:    "PrometheusRule that no Prometheus loads",
		Chapter:  practice.Observability,
		Severity: report.Warning,
		Reason:   "A Prometheus takes up the rules that its selectors match, and most charts make it select a label of their own. A rule without it is accepted, stored, and never evaluated.",
		Judged: "Each PrometheusRule where the operator runs a Prometheus: some Prometheus' ruleSelector matches its labels, and its ruleNamespaceSelector the namespace (its own where that is not set). " +
			"Where a Prometheus can be asked through the API server, what it has loaded decides, by the names that the operator gives its files, and rules that fail when they are evaluated are told. ThanosRulers are not judged.",
		Fix:      "give it the labels that the Prometheus selects: kubectl get prometheus -A -o yaml",
		Sources:  []string{"https://prometheus-operator.dev/docs/developer/alerting/", "https://prometheus-operator.dev/docs/api-reference/api/"},
		LiveOnly: true,
		Needs:    []cluster.Kind{cluster.Prometheuses, cluster.PrometheusRules},
		Uses:     []cluster.Kind{cluster.Namespaces, cluster.PrometheusLoadedRules},
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			if len(s.System(cluster.Prometheuses)) == 0 {
				return v
			}
			for _, rule := range s.System(cluster.PrometheusRules) {
				ref := cluster.RefTo(rule)
				v.Judged = append(v.Judged, ref)
				selected := loaded(s, rule)
				if selected && s.WasRead(cluster.PrometheusLoadedRules) && len(s.System(cluster.Prometheuses)) == 1 {
					v.Findings = append(v.Findings, asLoaded(s, rule)...)
				}
				if !selected {
					v.Findings = append(v.Findings, practice.On(ref, "metadata.labels", "the rule selectors of none of %d Prometheuses match it", len(s.System(cluster.Prometheuses))))
				}
			}
			return v
		},
	}
}

// asLoaded judges a PrometheusRule by what Prometheus says that it has loaded.
func asLoaded(s *cluster.Snapshot, rule *unstructured.Unstructured) []practice.Finding {
	ref, file := cluster.RefTo(rule), "/"+rule.GetNamespace()+"-"+rule.GetName()+"-"+string(rule.GetUID())
	found := false
	var failing []string
	for _, one := range s.Prometheus.Rules {
		if !strings.Contains(one.File, file) {
			continue
		}
		found = true
		if one.Failure != "" {
			failing = append(failing, one.Name+" ("+one.Failure+")")
		}
	}
	switch {
	case !found && hasRules(rule):
		return []practice.Finding{practice.On(ref, "", "its labels are selected, and Prometheus (%s) has loaded none of its rules", s.Prometheus.Service).
			Mended("the operator refuses rules that do not parse: kubectl logs of the Prometheus operator, kubectl describe prometheusrule -n %s %s", rule.GetNamespace(), rule.GetName())}
	case len(failing) > 0:
		return []practice.Finding{practice.On(ref, "spec.groups", "%d of its rules fail when they are evaluated: %s", len(failing), failing[0]).Mended("mend the expression; a rule that fails never fires")}
	}
	return nil
}

// hasRules reports whether a PrometheusRule holds any rule at all.
func hasRules(rule *unstructured.Unstructured) bool {
	groups, _, _ := unstructured.NestedSlice(rule.Object, "spec", "groups")
	return slices.ContainsFunc(groups, func(group any) bool {
		fields, _ := group.(map[string]any)
		list, _ := fields["rules"].([]any)
		return len(list) > 0
	})
}
