package observability

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// runs reports whether some workload runs one of the given images, by the last
// part of the image's name, or the last two where one says too little.
func runs(s *cluster.Snapshot, images ...string) bool {
	return slices.ContainsFunc(s.Workloads(), func(w *cluster.Workload) bool { return runsImage(w, images) })
}

func runsImage(w *cluster.Workload, images []string) bool {
	for c := range w.Containers() {
		path, _, _ := strings.Cut(c.Image, "@")
		if slices.ContainsFunc(images, func(name string) bool {
			return imageName(c.Image) == name || (strings.Contains(name, "/") && strings.Contains("/"+path+":", "/"+name+":"))
		}) {
			return true
		}
	}
	return false
}

// imageName is an image's name without registry, path, tag and digest.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	image, _, _ = strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return image
}

// operatorKinds are those of the Prometheus operator that scrape.
func operatorKinds() []cluster.Kind {
	return []cluster.Kind{cluster.Prometheuses, cluster.PrometheusAgents}
}

// hasPrometheusCR reports whether the operator runs a Prometheus.
func hasPrometheusCR(s *cluster.Snapshot) bool {
	return len(s.System(cluster.Prometheuses))+len(s.System(cluster.PrometheusAgents)) > 0
}

// scrapers are the images of programs that scrape metrics.
func scrapers() []string {
	return []string{
		"prometheus", "vmagent", "victoria-metrics", "vmsingle", "grafana/agent", "datadog/agent", "datadoghq/agent", "alloy", "opentelemetry-collector", "opentelemetry-collector-contrib", "opentelemetry-collector-k8s",
		"datadog-agent", "newrelic-infrastructure", "cloudwatch-agent", "gke-metrics-agent", "dynatrace-operator", "elastic-agent",
	}
}

// hasPrometheus reports whether anything in the cluster scrapes.
func hasPrometheus(s *cluster.Snapshot) bool { return hasPrometheusCR(s) || runs(s, scrapers()...) }

// selectorAt is a label selector within a custom object; false when it is not
// set, which means another thing in each field.
func selectorAt(object map[string]any, path ...string) (labels.Selector, bool) {
	raw, found, _ := unstructured.NestedMap(object, path...)
	if !found {
		return nil, false
	}
	selector := &metav1.LabelSelector{}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(raw, selector) != nil {
		return labels.Nothing(), true
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return labels.Nothing(), true
	}
	return parsed, true
}

// loads reports whether a Prometheus takes up a rule: by the rule's labels, of
// which none are selected where no selector is set, and by its namespace, which
// is the Prometheus' own where no selector is set.
func loads(s *cluster.Snapshot, prometheus, rule *unstructured.Unstructured) bool {
	selector, set := selectorAt(prometheus.Object, "spec", "ruleSelector")
	if !set || !selector.Matches(labels.Set(rule.GetLabels())) {
		return false
	}
	among, set := selectorAt(prometheus.Object, "spec", "ruleNamespaceSelector")
	if !set {
		return rule.GetNamespace() == prometheus.GetNamespace()
	}
	if namespace := s.Namespace(rule.GetNamespace()); namespace != nil {
		return among.Matches(labels.Set(namespace.Labels))
	}
	return among.Empty() || !s.WasRead(cluster.Namespaces)
}

func loaded(s *cluster.Snapshot, rule *unstructured.Unstructured) bool {
	return slices.ContainsFunc(s.System(cluster.Prometheuses), func(p *unstructured.Unstructured) bool { return loads(s, p, rule) })
}

// text is a string within a custom object; "" when it is not there.
func text(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return strings.Join(strings.Fields(value), " ")
}
