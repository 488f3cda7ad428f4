package cluster

import (
	"iter"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The custom kinds of the systems around a cluster, by which practices judge
// them. Where discovery does not list a kind, it costs no request.
const (
	// Gateway API.
	Gateways   Kind = "gateways.gateway.networking.k8s.io"
	HTTPRoutes Kind = "httproutes.gateway.networking.k8s.io"
	GRPCRoutes Kind = "grpcroutes.gateway.networking.k8s.io"

	// Prometheus operator.
	Prometheuses        Kind = "prometheuses.monitoring.coreos.com"
	PrometheusAgents    Kind = "prometheusagents.monitoring.coreos.com"
	PrometheusRules     Kind = "prometheusrules.monitoring.coreos.com"
	ServiceMonitors     Kind = "servicemonitors.monitoring.coreos.com"
	PodMonitors         Kind = "podmonitors.monitoring.coreos.com"
	Alertmanagers       Kind = "alertmanagers.monitoring.coreos.com"
	AlertmanagerConfigs Kind = "alertmanagerconfigs.monitoring.coreos.com"

	// Log stores and tracing.
	Elasticsearches Kind = "elasticsearches.elasticsearch.k8s.elastic.co"
	OpenSearches    Kind = "opensearchclusters.opensearch.opster.io"
	LokiStacks      Kind = "lokistacks.loki.grafana.com"
	Jaegers         Kind = "jaegers.jaegertracing.io"
	TempoStacks     Kind = "tempostacks.tempo.grafana.com"
	TempoMonoliths  Kind = "tempomonolithics.tempo.grafana.com"
	Collectors      Kind = "opentelemetrycollectors.opentelemetry.io"

	// Velero, and the snapshots of volumes.
	VeleroBackups   Kind = "backups.velero.io"
	VeleroSchedules Kind = "schedules.velero.io"
	VeleroLocations Kind = "backupstoragelocations.velero.io"
	VeleroRestores  Kind = "restores.velero.io"
	VolumeSnapshots Kind = "volumesnapshots.snapshot.storage.k8s.io"

	// Operators of databases.
	CloudNativePGClusters  Kind = "clusters.postgresql.cnpg.io"
	CloudNativePGSchedules Kind = "scheduledbackups.postgresql.cnpg.io"
	CrunchyClusters        Kind = "postgresclusters.postgres-operator.crunchydata.com"
	ZalandoClusters        Kind = "postgresqls.acid.zalan.do"
	PerconaPostgres        Kind = "perconapgclusters.pgv2.percona.com"
	PerconaXtraDB          Kind = "perconaxtradbclusters.pxc.percona.com"
	PerconaMongoDB         Kind = "perconaservermongodbs.psmdb.percona.com"
	MariaDBs               Kind = "mariadbs.k8s.mariadb.com"
	MariaDBBackups         Kind = "backups.k8s.mariadb.com"

	// GitOps.
	ArgoApplications   Kind = "applications.argoproj.io"
	FluxKustomizations Kind = "kustomizations.kustomize.toolkit.fluxcd.io"
	FluxHelmReleases   Kind = "helmreleases.helm.toolkit.fluxcd.io"

	// Certificates, and service meshes.
	Certificates        Kind = "certificates.cert-manager.io"
	PeerAuthentications Kind = "peerauthentications.security.istio.io"

	// Machine learning.
	Notebooks Kind = "notebooks.kubeflow.org"

	// Chaos engineering.
	ChaosMeshPods      Kind = "podchaos.chaos-mesh.org"
	ChaosMeshNetworks  Kind = "networkchaos.chaos-mesh.org"
	ChaosMeshStresses  Kind = "stresschaos.chaos-mesh.org"
	ChaosMeshWorkflows Kind = "workflows.chaos-mesh.org"
	LitmusResults      Kind = "chaosresults.litmuschaos.io"
)

// System are the objects of one of the custom kinds above.
func (s *Snapshot) System(kind Kind) []*unstructured.Unstructured {
	return *s.system(kind)
}

// system is where the objects of a custom kind are kept; a Snapshot that was
// not read has none.
func (s *Snapshot) system(kind Kind) *[]*unstructured.Unstructured {
	if objects := s.systems[kind]; objects != nil {
		return objects
	}
	return &[]*unstructured.Unstructured{}
}

// systemReadings are how the custom kinds above are read: the version is the
// one that manifests and findings are named by when the server tells no other.
func systemReadings() []reading {
	var all []reading
	for _, k := range []struct {
		kind            Kind
		version, object string
	}{
		{Gateways, "v1", "Gateway"},
		{HTTPRoutes, "v1", "HTTPRoute"},
		{GRPCRoutes, "v1", "GRPCRoute"},
		{Prometheuses, "v1", "Prometheus"},
		{PrometheusAgents, "v1alpha1", "PrometheusAgent"},
		{PrometheusRules, "v1", "PrometheusRule"},
		{ServiceMonitors, "v1", "ServiceMonitor"},
		{PodMonitors, "v1", "PodMonitor"},
		{Alertmanagers, "v1", "Alertmanager"},
		{AlertmanagerConfigs, "v1alpha1", "AlertmanagerConfig"},
		{Elasticsearches, "v1", "Elasticsearch"},
		{OpenSearches, "v1", "OpenSearchCluster"},
		{LokiStacks, "v1", "LokiStack"},
		{Jaegers, "v1", "Jaeger"},
		{TempoStacks, "v1alpha1", "TempoStack"},
		{TempoMonoliths, "v1alpha1", "TempoMonolithic"},
		{Collectors, "v1beta1", "OpenTelemetryCollector"},
		{VeleroBackups, "v1", "Backup"},
		{VeleroSchedules, "v1", "Schedule"},
		{VeleroLocations, "v1", "BackupStorageLocation"},
		{VeleroRestores, "v1", "Restore"},
		{VolumeSnapshots, "v1", "VolumeSnapshot"},
		{CloudNativePGClusters, "v1", "Cluster"},
		{CloudNativePGSchedules, "v1", "ScheduledBackup"},
		{CrunchyClusters, "v1beta1", "PostgresCluster"},
		{ZalandoClusters, "v1", "postgresql"},
		{PerconaPostgres, "v2", "PerconaPGCluster"},
		{PerconaXtraDB, "v1", "PerconaXtraDBCluster"},
		{PerconaMongoDB, "v1", "PerconaServerMongoDB"},
		{MariaDBs, "v1alpha1", "MariaDB"},
		{MariaDBBackups, "v1alpha1", "Backup"},
		{ArgoApplications, "v1alpha1", "Application"},
		{FluxKustomizations, "v1", "Kustomization"},
		{FluxHelmReleases, "v2", "HelmRelease"},
		{Certificates, "v1", "Certificate"},
		{PeerAuthentications, "v1", "PeerAuthentication"},
		{Notebooks, "v1", "Notebook"},
		{ChaosMeshPods, "v1alpha1", "PodChaos"},
		{ChaosMeshNetworks, "v1alpha1", "NetworkChaos"},
		{ChaosMeshStresses, "v1alpha1", "StressChaos"},
		{ChaosMeshWorkflows, "v1alpha1", "Workflow"},
		{LitmusResults, "v1alpha1", "ChaosResult"},
	} {
		all = append(all, custom(k.kind, k.version, k.object, func(s *Snapshot) *[]*unstructured.Unstructured { return s.system(k.kind) }))
	}
	return all
}

// newSystems makes room for the objects of each custom kind above, so that
// several can be filled at once.
func newSystems() map[Kind]*[]*unstructured.Unstructured {
	systems := map[Kind]*[]*unstructured.Unstructured{}
	for _, reading := range systemReadings() {
		systems[reading.kind] = &[]*unstructured.Unstructured{}
	}
	return systems
}

// RefTo names a custom object by the version in which it was read.
func RefTo(object *unstructured.Unstructured) Ref {
	return Ref{APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Namespace: object.GetNamespace(), Name: object.GetName()}
}

// allows is the RBAC rule under which a LIST of the kind would be allowed.
func (r reading) allows() string {
	return told(rbacv1.PolicyRule{APIGroups: []string{r.gvr.Group}, Resources: []string{r.gvr.Resource}, Verbs: []string{"list"}})
}

// Condition is a condition of a custom object's status, of which most follow
// the same convention.
type Condition struct {
	Status, Reason, Message string
	Since                   time.Time
}

// ConditionOf finds a condition by type in status.conditions.
func ConditionOf(object map[string]any, kind string) (Condition, bool) {
	conditions, _, _ := unstructured.NestedSlice(object, "status", "conditions")
	for _, item := range conditions {
		c, _ := item.(map[string]any)
		if c["type"] != kind {
			continue
		}
		text := func(field string) string {
			value, _ := c[field].(string)
			return strings.Join(strings.Fields(value), " ")
		}
		since, _ := time.Parse(time.RFC3339, text("lastTransitionTime")) // zero when it is not told
		return Condition{Status: text("status"), Reason: text("reason"), Message: text("message"), Since: since}, true
	}
	return Condition{}, false
}

// Systems are the objects of all the custom kinds above that were read.
func (s *Snapshot) Systems() iter.Seq[*unstructured.Unstructured] {
	return func(yield func(*unstructured.Unstructured) bool) {
		for _, objects := range s.systems {
			for _, object := range *objects {
				if !yield(object) {
					return
				}
			}
		}
	}
}
