package system

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// known are the systems of the guide and those around them. The images are the
// repositories that the projects publish.
func known() []System {
	const (
		metrics = "answers for metrics and alerts"
		logs    = "answers for logs"
		traces  = "answers for traces"
		policy  = "may refuse or change what is applied"
		scaling = "what it scales needs no other autoscaler"
	)
	return []System{
		{"Prometheus", []string{"prometheuses.monitoring.coreos.com"}, []string{"prometheus/prometheus", "prometheus-operator/prometheus-operator"}, metrics},
		{"Alertmanager", []string{"alertmanagers.monitoring.coreos.com"}, []string{"prometheus/alertmanager"}, metrics},
		{"metrics-server", nil, []string{"metrics-server/metrics-server"}, "utilisation can be judged"},
		{"Fluentd", nil, []string{"fluent/fluentd", "fluent/fluentd-kubernetes-daemonset"}, logs},
		{"Fluent Bit", []string{"clusterfluentbitconfigs.fluentbit.fluent.io"}, []string{"fluent/fluent-bit", "aws-for-fluent-bit"}, logs},
		{"Elasticsearch", []string{"elasticsearches.elasticsearch.k8s.elastic.co"}, []string{"elasticsearch/elasticsearch", "eck/eck-operator"}, logs},
		{"Loki", []string{"lokistacks.loki.grafana.com"}, []string{"grafana/loki"}, logs},
		{"Jaeger", []string{"jaegers.jaegertracing.io"}, []string{"jaegertracing/jaeger", "jaegertracing/all-in-one", "jaegertracing/jaeger-operator"}, traces},
		{"Zipkin", nil, []string{"openzipkin/zipkin", "openzipkin/zipkin-slim"}, traces},
		{"OpenTelemetry", []string{"opentelemetrycollectors.opentelemetry.io"}, []string{"opentelemetry-collector", "opentelemetry-collector-contrib", "opentelemetry-collector-k8s", "opentelemetry-operator/opentelemetry-operator"}, traces},
		{"Tempo", []string{"tempostacks.tempo.grafana.com"}, []string{"grafana/tempo"}, traces},
		{"Velero", []string{"schedules.velero.io"}, []string{"velero/velero"}, "answers for backups of objects and volumes"},
		{"CloudNativePG", []string{"clusters.postgresql.cnpg.io"}, []string{"cloudnative-pg/cloudnative-pg"}, "answers for its databases' backups"},
		{"Chaos Mesh", []string{"podchaos.chaos-mesh.org"}, []string{"chaos-mesh/chaos-mesh"}, "answers for failure tests"},
		{"Litmus", []string{"chaosengines.litmuschaos.io"}, []string{"litmuschaos/chaos-operator"}, "answers for failure tests"},
		{"Argo CD", []string{"applications.argoproj.io"}, []string{"argoproj/argocd"}, "what it owns is changed in Git"},
		{"Flux", []string{"kustomizations.kustomize.toolkit.fluxcd.io"}, []string{"fluxcd/kustomize-controller", "fluxcd/helm-controller", "fluxcd/source-controller"}, "what it owns is changed in Git"},
		{"Istio", []string{"virtualservices.networking.istio.io"}, []string{"istio/pilot"}, "its sidecars are not the user's containers"},
		{"Linkerd", []string{"serviceprofiles.linkerd.io"}, []string{"linkerd/controller", "linkerd/policy-controller"}, "its sidecars are not the user's containers"},
		{"Knative", []string{"services.serving.knative.dev"}, []string{"knative.dev/serving/cmd/controller", "knative-releases/knative.dev/serving/cmd/controller"}, "its Services are judged as owners, and " + scaling},
		{"OpenFaaS", []string{"functions.openfaas.com"}, []string{"openfaas/gateway", "openfaas/faas-netes"}, "its functions are judged as owners"},
		{"Kubeflow", []string{"notebooks.kubeflow.org", "trainjobs.trainer.kubeflow.org", "pytorchjobs.kubeflow.org"}, []string{"kubeflow/training-operator", "kubeflow/trainer/trainer-controller-manager"}, "its jobs and notebooks are judged as owners"},
		{"KEDA", []string{"scaledobjects.keda.sh"}, []string{"kedacore/keda"}, scaling},
		{"Vertical Pod Autoscaler", []string{"verticalpodautoscalers.autoscaling.k8s.io"}, []string{"autoscaling/vpa-recommender"}, "sets requests of what it targets"},
		{"Cluster Autoscaler", nil, []string{"autoscaling/cluster-autoscaler", "cluster-autoscaler"}, "adds nodes when pods do not fit"},
		{"Karpenter", []string{"nodepools.karpenter.sh"}, []string{"karpenter/controller"}, "adds nodes when pods do not fit"},
		{"cert-manager", []string{"certificates.cert-manager.io"}, []string{"jetstack/cert-manager-controller"}, "renews certificates"},
		{"Argo Rollouts", []string{"rollouts.argoproj.io"}, []string{"argoproj/argo-rollouts"}, "its Rollouts are judged as owners"},
		{"Gateway API", []string{"httproutes.gateway.networking.k8s.io"}, nil, "its routes are judged"},
		{"Kyverno", []string{"clusterpolicies.kyverno.io"}, []string{"kyverno/kyverno"}, policy},
		{"Gatekeeper", []string{"constrainttemplates.templates.gatekeeper.sh"}, []string{"openpolicyagent/gatekeeper"}, policy},
		{"External Secrets", []string{"externalsecrets.external-secrets.io"}, []string{"external-secrets/external-secrets"}, "makes the Secrets it owns"},
	}
}

func nodesHealth(nodes []*corev1.Node) string {
	ready := 0
	for _, node := range nodes {
		if slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}) {
			ready++
		}
	}
	state := "healthy"
	if ready < len(nodes) {
		state = "sick"
	}
	return fmt.Sprintf("%s, %d of %d nodes ready", state, ready, len(nodes))
}
