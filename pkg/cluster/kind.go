package cluster

import (
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

// Kind names a kind that can be read, as kubectl accepts it: resource, or
// resource.group.
type Kind string

// The kinds that can be read. [Secrets] and other metadata-only kinds never
// transfer a body; [TLSSecrets] is the one read of Secret bodies there is, and
// the API server narrows it to type kubernetes.io/tls.
const (
	ConfigMaps       Kind = "configmaps"
	CronJobs         Kind = "cronjobs.batch"
	DaemonSets       Kind = "daemonsets.apps"
	Deployments      Kind = "deployments.apps"
	Events           Kind = "events(type=Warning)"
	EtcdSnapshots    Kind = "etcdsnapshotfiles.k3s.cattle.io"
	Autoscalers      Kind = "horizontalpodautoscalers.autoscaling"
	Ingresses        Kind = "ingresses.networking.k8s.io"
	Jobs             Kind = "jobs.batch"
	LimitRanges      Kind = "limitranges"
	Namespaces       Kind = "namespaces"
	NetworkPolicies  Kind = "networkpolicies.networking.k8s.io"
	NodeMetrics      Kind = "nodes.metrics.k8s.io"
	Nodes            Kind = "nodes"
	Pods             Kind = "pods"
	Budgets          Kind = "poddisruptionbudgets.policy"
	ReplicaSets      Kind = "replicasets.apps"
	ResourceQuotas   Kind = "resourcequotas"
	ScaledObjects    Kind = "scaledobjects.keda.sh"
	ServiceAccounts  Kind = "serviceaccounts"
	Services         Kind = "services"
	StatefulSets     Kind = "statefulsets.apps"
	TLSSecrets       Kind = "secrets(type=kubernetes.io/tls)" //nolint:gosec // a kind, not a credential
	VerticalScalers  Kind = "verticalpodautoscalers.autoscaling.k8s.io"
	KnativeServices  Kind = "services.serving.knative.dev"
	OpenShiftBackups Kind = "backups.config.openshift.io"

	APIServices     Kind = "apiservices.apiregistration.k8s.io"
	Claims          Kind = "persistentvolumeclaims"
	ClusterBindings Kind = "clusterrolebindings.rbac.authorization.k8s.io"
	ClusterRoles    Kind = "clusterroles.rbac.authorization.k8s.io"
	Definitions     Kind = "customresourcedefinitions.apiextensions.k8s.io"
	EndpointSlices  Kind = "endpointslices.discovery.k8s.io"
	RoleBindings    Kind = "rolebindings.rbac.authorization.k8s.io"
	Roles           Kind = "roles.rbac.authorization.k8s.io"
	// Secrets are those that are neither TLS, which [TLSSecrets] has, nor kept
	// by a program for itself: their metadata alone, never a body.
	Secrets Kind = "secrets"
	Volumes Kind = "persistentvolumes"

	// ConfigMapData are ConfigMaps with what of their bodies may hold a
	// credential. Who needs them has the metadata too: where both are asked for,
	// this one LIST fills both.
	ConfigMapData    Kind = "configmaps(data)"
	MutatingWebhooks Kind = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
	PodMetrics       Kind = "pods.metrics.k8s.io"
	PriorityClasses  Kind = "priorityclasses.scheduling.k8s.io"

	// What the scheduler reads beside pods and nodes.
	CSIDrivers             Kind = "csidrivers.storage.k8s.io"
	CSINodes               Kind = "csinodes.storage.k8s.io"
	CSIStorageCapacities   Kind = "csistoragecapacities.storage.k8s.io"
	DeviceClasses          Kind = "deviceclasses.resource.k8s.io"
	ReplicationControllers Kind = "replicationcontrollers"
	ResourceClaims         Kind = "resourceclaims.resource.k8s.io"
	ResourceClaimTemplates Kind = "resourceclaimtemplates.resource.k8s.io"
	ResourceSlices         Kind = "resourceslices.resource.k8s.io"
	StorageClasses         Kind = "storageclasses.storage.k8s.io"
	VolumeAttachments      Kind = "volumeattachments.storage.k8s.io"
	ValidatingWebhooks     Kind = "validatingwebhookconfigurations.admissionregistration.k8s.io"
)

// ordinarySecrets leaves out the Secrets that are read otherwise, or that the
// cluster itself and Helm keep and look up by name.
const ordinarySecrets = "type!=" + string(corev1.SecretTypeTLS) + ",type!=" + string(corev1.SecretTypeServiceAccountToken) +
	",type!=" + string(corev1.SecretTypeBootstrapToken) + ",type!=helm.sh/release.v1"

// WorkloadKinds are the kinds whose objects run pods. A practice about
// workloads judges those that could be read and names those that could not.
func WorkloadKinds() []Kind {
	return []Kind{Pods, ReplicaSets, Deployments, StatefulSets, DaemonSets, Jobs, CronJobs, PodTemplates}
}

// reading says how one kind is requested, decoded and kept.
type reading struct {
	kind          Kind
	gvr           schema.GroupVersionResource
	object        string   // the object's kind, "Deployment"
	formerGroups  []string // API groups that served it once, still met in manifests
	clusterScoped bool
	form          form
	fieldSelector string
	most          int                  // of its objects, where no more are read; 0 is all
	onlyWith      schema.GroupResource // where set, read only where the server has it
	keep          func(*Snapshot, runtime.Object)
	each          func(*Snapshot, func(metav1.Object))
	empty         func() runtime.Object // a new object to decode a manifest into
	emptyList     func() runtime.Object // a new list to decode a page of a chosen form into
}

// form is how much of an object travels.
type form int

const (
	whole     form = iota // the typed object, as protobuf
	metadata              // PartialObjectMetadata alone, as protobuf
	untyped               // a custom resource, as JSON, where the server has it
	untypedMD             // a custom resource's metadata, where the server has it
	chosen                // the fields of a type of our own, as JSON
)

func (r reading) custom() bool { return r.form == untyped || r.form == untypedMD }

// path is the URL path of the kind's collection, in one namespace or in all.
func (r reading) path(namespace string) []string {
	segments := []string{"apis", r.gvr.Group, r.gvr.Version}
	if r.gvr.Group == "" {
		segments = []string{"api", r.gvr.Version}
	}
	if namespace != "" && !r.clusterScoped {
		segments = append(segments, "namespaces", namespace)
	}
	return append(segments, r.gvr.Resource)
}

// selectorIn is the field selector of a read narrowed to a namespace; of the
// namespaces themselves that is the one, which also those may ask for who may
// list no other.
func (r reading) selectorIn(namespace string) string {
	if r.kind == Namespaces && namespace != "" {
		return "metadata.name=" + namespace
	}
	return r.fieldSelector
}

// ref names an object of the kind.
func (r reading) ref(obj metav1.Object) Ref {
	return Ref{APIVersion: r.gvr.GroupVersion().String(), Kind: r.object, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// readings is the one table of what can be read; order is the order of
// starting, so the kinds that are large in real clusters come first.
func readings() []reading {
	return append([]reading{
		pods(),
		partial(ReplicaSets, "v1", "ReplicaSet", func(s *Snapshot) *[]*metav1.PartialObjectMetadata { return &s.ReplicaSets }).formerly("extensions"),
		partial(ConfigMaps, "v1", "ConfigMap", func(s *Snapshot) *[]*metav1.PartialObjectMetadata { return &s.ConfigMaps }),
		typed(Deployments, "v1", "Deployment", func(s *Snapshot) *[]*appsv1.Deployment { return &s.Deployments }).formerly("extensions"),
		typed(Jobs, "v1", "Job", func(s *Snapshot) *[]*batchv1.Job { return &s.Jobs }),
		typed(Services, "v1", "Service", func(s *Snapshot) *[]*corev1.Service { return &s.Services }),
		typed(Nodes, "v1", "Node", func(s *Snapshot) *[]*corev1.Node { return &s.Nodes }).ofCluster(),
		typed(StatefulSets, "v1", "StatefulSet", func(s *Snapshot) *[]*appsv1.StatefulSet { return &s.StatefulSets }),
		typed(DaemonSets, "v1", "DaemonSet", func(s *Snapshot) *[]*appsv1.DaemonSet { return &s.DaemonSets }).formerly("extensions"),
		typed(CronJobs, "v1", "CronJob", func(s *Snapshot) *[]*batchv1.CronJob { return &s.CronJobs }),
		typed(ServiceAccounts, "v1", "ServiceAccount", func(s *Snapshot) *[]*corev1.ServiceAccount { return &s.ServiceAccounts }),
		typed(TLSSecrets, "v1", "Secret", func(s *Snapshot) *[]*corev1.Secret { return &s.TLSSecrets }).where("type=" + string(corev1.SecretTypeTLS)),
		typed(Namespaces, "v1", "Namespace", func(s *Snapshot) *[]*corev1.Namespace { return &s.Namespaces }).ofCluster(),
		typed(Autoscalers, "v2", "HorizontalPodAutoscaler", func(s *Snapshot) *[]*autoscalingv2.HorizontalPodAutoscaler { return &s.Autoscalers }),
		typed(Budgets, "v1", "PodDisruptionBudget", func(s *Snapshot) *[]*policyv1.PodDisruptionBudget { return &s.Budgets }),
		typed(NetworkPolicies, "v1", "NetworkPolicy", func(s *Snapshot) *[]*networkingv1.NetworkPolicy { return &s.NetworkPolicies }).formerly("extensions"),
		typed(Ingresses, "v1", "Ingress", func(s *Snapshot) *[]*networkingv1.Ingress { return &s.Ingresses }).formerly("extensions"),
		typed(ResourceQuotas, "v1", "ResourceQuota", func(s *Snapshot) *[]*corev1.ResourceQuota { return &s.ResourceQuotas }),
		typed(LimitRanges, "v1", "LimitRange", func(s *Snapshot) *[]*corev1.LimitRange { return &s.LimitRanges }),
		typed(NodeMetrics, "v1beta1", "NodeMetrics", func(s *Snapshot) *[]*metricsv1beta1.NodeMetrics { return &s.NodeMetrics }).ofCluster(),
		typed(Events, "v1", "Event", func(s *Snapshot) *[]*corev1.Event { return &s.Events }).where("type=" + corev1.EventTypeWarning),
		podUsages(),
		typed(ConfigMapData, "v1", "ConfigMap", func(s *Snapshot) *[]*corev1.ConfigMap { return &s.ConfigMapData }),
		typed(PriorityClasses, "v1", "PriorityClass", func(s *Snapshot) *[]*schedulingv1.PriorityClass { return &s.PriorityClasses }).ofCluster(),
		typed(ValidatingWebhooks, "v1", "ValidatingWebhookConfiguration", func(s *Snapshot) *[]*admissionregistrationv1.ValidatingWebhookConfiguration {
			return &s.ValidatingWebhooks
		}).ofCluster(),
		typed(MutatingWebhooks, "v1", "MutatingWebhookConfiguration", func(s *Snapshot) *[]*admissionregistrationv1.MutatingWebhookConfiguration { return &s.MutatingWebhooks }).ofCluster(),
		typed(EndpointSlices, "v1", "EndpointSlice", func(s *Snapshot) *[]*discoveryv1.EndpointSlice { return &s.EndpointSlices }),
		typed(Claims, "v1", "PersistentVolumeClaim", func(s *Snapshot) *[]*corev1.PersistentVolumeClaim { return &s.Claims }),
		typed(Volumes, "v1", "PersistentVolume", func(s *Snapshot) *[]*corev1.PersistentVolume { return &s.Volumes }).ofCluster(),
		partial(Secrets, "v1", "Secret", func(s *Snapshot) *[]*metav1.PartialObjectMetadata { return &s.Secrets }).where(ordinarySecrets),
		typed(Roles, "v1", "Role", func(s *Snapshot) *[]*rbacv1.Role { return &s.Roles }),
		typed(RoleBindings, "v1", "RoleBinding", func(s *Snapshot) *[]*rbacv1.RoleBinding { return &s.RoleBindings }),
		typed(ClusterRoles, "v1", "ClusterRole", func(s *Snapshot) *[]*rbacv1.ClusterRole { return &s.ClusterRoles }).ofCluster(),
		typed(ClusterBindings, "v1", "ClusterRoleBinding", func(s *Snapshot) *[]*rbacv1.ClusterRoleBinding { return &s.ClusterBindings }).ofCluster(),
		own(Definitions, "v1", "CustomResourceDefinition", func(s *Snapshot) *[]*Definition { return &s.Definitions }),
		own(APIServices, "v1", "APIService", func(s *Snapshot) *[]*APIService { return &s.APIServices }),
		typed(StorageClasses, "v1", "StorageClass", func(s *Snapshot) *[]*storagev1.StorageClass { return &s.StorageClasses }).ofCluster(),
		typed(CSINodes, "v1", "CSINode", func(s *Snapshot) *[]*storagev1.CSINode { return &s.CSINodes }).ofCluster(),
		typed(CSIDrivers, "v1", "CSIDriver", func(s *Snapshot) *[]*storagev1.CSIDriver { return &s.CSIDrivers }).ofCluster(),
		typed(CSIStorageCapacities, "v1", "CSIStorageCapacity", func(s *Snapshot) *[]*storagev1.CSIStorageCapacity { return &s.CSIStorageCapacities }),
		typed(VolumeAttachments, "v1", "VolumeAttachment", func(s *Snapshot) *[]*storagev1.VolumeAttachment { return &s.VolumeAttachments }).ofCluster(),
		typed(ReplicationControllers, "v1", "ReplicationController", func(s *Snapshot) *[]*corev1.ReplicationController { return &s.ReplicationControllers }),
		typed(ResourceClaims, "v1", "ResourceClaim", func(s *Snapshot) *[]*resourcev1.ResourceClaim { return &s.ResourceClaims }),
		typed(ResourceClaimTemplates, "v1", "ResourceClaimTemplate", func(s *Snapshot) *[]*resourcev1.ResourceClaimTemplate { return &s.ResourceClaimTemplates }),
		typed(ResourceSlices, "v1", "ResourceSlice", func(s *Snapshot) *[]*resourcev1.ResourceSlice { return &s.ResourceSlices }).ofCluster(),
		typed(DeviceClasses, "v1", "DeviceClass", func(s *Snapshot) *[]*resourcev1.DeviceClass { return &s.DeviceClasses }).ofCluster(),
		custom(ScaledObjects, "v1alpha1", "ScaledObject", func(s *Snapshot) *[]*unstructured.Unstructured { return &s.ScaledObjects }),
		custom(VerticalScalers, "v1", "VerticalPodAutoscaler", func(s *Snapshot) *[]*unstructured.Unstructured { return &s.VerticalScalers }),
		custom(KnativeServices, "v1", "Service", func(s *Snapshot) *[]*unstructured.Unstructured { return &s.KnativeServices }),
		customMetadata(EtcdSnapshots, "v1", "ETCDSnapshotFile", func(s *Snapshot) *[]*metav1.PartialObjectMetadata { return &s.EtcdSnapshots }).ofCluster(),
		customMetadata(OpenShiftBackups, "v1alpha1", "Backup", func(s *Snapshot) *[]*metav1.PartialObjectMetadata { return &s.OpenShiftBackups }).ofCluster(),
	}, append(anchorReadings(), systemReadings()...)...)
}

// typed reads whole objects of a type that client-go knows.
func typed[T any](kind Kind, version, object string, field func(*Snapshot) *[]*T) reading {
	name, _, _ := strings.Cut(string(kind), "(")
	resource, group, _ := strings.Cut(name, ".")
	return reading{
		kind:   kind,
		gvr:    schema.GroupVersionResource{Group: group, Version: version, Resource: resource},
		object: object,
		keep: func(s *Snapshot, obj runtime.Object) {
			if item, ok := any(obj).(*T); ok {
				*field(s) = append(*field(s), item)
			}
		},
		each: func(s *Snapshot, do func(metav1.Object)) {
			for _, item := range *field(s) {
				if obj, ok := any(item).(metav1.Object); ok {
					do(obj)
				}
			}
		},
		empty: func() runtime.Object {
			obj, _ := any(new(T)).(runtime.Object)
			return obj
		},
	}
}

// partial reads metadata alone, for kinds whose bodies nobody needs.
func partial(kind Kind, version, object string, field func(*Snapshot) *[]*metav1.PartialObjectMetadata) reading {
	r := typed(kind, version, object, field)
	r.form = metadata
	return r
}

// custom reads a custom resource, where the server has it.
func custom(kind Kind, version, object string, field func(*Snapshot) *[]*unstructured.Unstructured) reading {
	r := typed(kind, version, object, field)
	r.form = untyped
	return r
}

// own reads the fields of a type of our own, for objects of the cluster that
// client-go has no type for and whose bodies are large.
func own[T any](kind Kind, version, object string, field func(*Snapshot) *[]*T) reading {
	r := typed(kind, version, object, field).ofCluster()
	r.form = chosen
	r.emptyList = func() runtime.Object { return &ownList[T]{} }
	return r
}

// customMetadata reads a custom resource's metadata, where the server has it.
func customMetadata(kind Kind, version, object string, field func(*Snapshot) *[]*metav1.PartialObjectMetadata) reading {
	r := typed(kind, version, object, field)
	r.form = untypedMD
	return r
}

func (r reading) ofCluster() reading {
	r.clusterScoped = true
	return r
}

func (r reading) formerly(groups ...string) reading {
	r.formerGroups = groups
	return r
}

func (r reading) where(fieldSelector string) reading {
	r.fieldSelector = fieldSelector
	return r
}
