package cluster

import (
	"sort"
	"time"

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
	"k8s.io/apimachinery/pkg/labels"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

// Snapshot is what one run read: objects by kind, what was and was not read,
// and the indexes over them. It is complete when its source returns it and is
// never changed afterwards, so checks may share it freely.
//
// Objects carry no managedFields and no last-applied annotation.
type Snapshot struct {
	Origin Origin
	// Time is the moment that ages and expiries are judged against: the API
	// server's own clock where one answered, else this machine's.
	Time time.Time

	Autoscalers      []*autoscalingv2.HorizontalPodAutoscaler
	Budgets          []*policyv1.PodDisruptionBudget
	ConfigMaps       []*metav1.PartialObjectMetadata
	CronJobs         []*batchv1.CronJob
	DaemonSets       []*appsv1.DaemonSet
	Deployments      []*appsv1.Deployment
	Events           []*corev1.Event // Warnings alone
	EtcdSnapshots    []*metav1.PartialObjectMetadata
	Ingresses        []*networkingv1.Ingress
	Jobs             []*batchv1.Job
	KnativeServices  []*unstructured.Unstructured
	LimitRanges      []*corev1.LimitRange
	Namespaces       []*corev1.Namespace
	NetworkPolicies  []*networkingv1.NetworkPolicy
	NodeMetrics      []*metricsv1beta1.NodeMetrics
	Nodes            []*corev1.Node
	OpenShiftBackups []*metav1.PartialObjectMetadata
	Pods             []*Pod
	ReplicaSets      []*metav1.PartialObjectMetadata
	ResourceQuotas   []*corev1.ResourceQuota
	ScaledObjects    []*unstructured.Unstructured
	ServiceAccounts  []*corev1.ServiceAccount
	Services         []*corev1.Service
	StatefulSets     []*appsv1.StatefulSet
	TLSSecrets       []*corev1.Secret
	VerticalScalers  []*unstructured.Unstructured

	ConfigMapData      []*corev1.ConfigMap
	MutatingWebhooks   []*admissionregistrationv1.MutatingWebhookConfiguration
	PodUsages          []*PodUsage // of PodMetrics
	PriorityClasses    []*schedulingv1.PriorityClass
	ValidatingWebhooks []*admissionregistrationv1.ValidatingWebhookConfiguration

	CSIDrivers             []*storagev1.CSIDriver
	CSINodes               []*storagev1.CSINode
	CSIStorageCapacities   []*storagev1.CSIStorageCapacity
	DeviceClasses          []*resourcev1.DeviceClass
	ReplicationControllers []*corev1.ReplicationController
	ResourceClaims         []*resourcev1.ResourceClaim
	ResourceClaimTemplates []*resourcev1.ResourceClaimTemplate
	ResourceSlices         []*resourcev1.ResourceSlice
	StorageClasses         []*storagev1.StorageClass
	VolumeAttachments      []*storagev1.VolumeAttachment

	APIServices     []*APIService
	Claims          []*corev1.PersistentVolumeClaim
	ClusterBindings []*rbacv1.ClusterRoleBinding
	ClusterRoles    []*rbacv1.ClusterRole
	Definitions     []*Definition
	EndpointSlices  []*discoveryv1.EndpointSlice
	RoleBindings    []*rbacv1.RoleBinding
	Roles           []*rbacv1.Role
	Secrets         []*metav1.PartialObjectMetadata // all but TLSSecrets
	Volumes         []*corev1.PersistentVolume

	// What the reads beyond LISTs found; see probe.go.
	FailingChecks  []FailingCheck
	KubeletConfigs map[string]KubeletConfig
	KubeletMetrics map[string]KubeletMetrics
	NodeStats      map[string]NodeStats
	// Prometheus is nil where none was asked, or none answered.
	Prometheus    *Prometheus
	ServerMetrics *APIServerMetrics

	// Written are the objects of manifests, of any kind, by the API version in
	// which they are written.
	Written []Ref

	systems map[Kind]*[]*unstructured.Unstructured // see System
	anchors map[Kind]*[]*corev1.ConfigMap          // see TrustAnchors
	edits   edits                                  // see Edits
	// Changes are the last hour's, latest first, of the kinds that were read;
	// only where [Live.Changes] asked for them.
	Changes []Change

	served   map[string]bool // resource.group, by discovery
	shaped   []*Workload     // of kinds known by their pod templates' shape alone
	coverage map[Kind]Coverage
	sources  map[Ref]Position
	*index
}

// Origin says where a Snapshot came from.
type Origin struct {
	// Live is true for an API server, false for manifests.
	Live bool
	// Namespace is the one namespace the read was narrowed to, or "" for all.
	Namespace string
	// Context, Server and Version name the kubeconfig context, the API
	// server's URL and its version; empty for manifests.
	Context, Server, Version string
	// Manifests counts the objects read from manifests, of any kind.
	Manifests int
	// Certificates are those seen while connecting: the API server's serving
	// certificate and the kubeconfig's client certificate.
	Certificates []Certificate
	// Unserved are the API groups that discovery could not list, with the
	// reason: each stands for an aggregated APIService that does not answer.
	Unserved []Unserved
}

// Unserved is a group version that the API server lists but cannot serve.
type Unserved struct {
	GroupVersion string
	Reason       string
}

// Position is where in the manifests an object stands.
type Position struct {
	File string
	Line int // 1-based line of the object's first line; 0 when unknown
}

// State is how the read of one kind ended.
type State string

// The ways in which the read of a kind ends.
const (
	// Read: every object of the kind, in the scope asked for, is here.
	Read State = "read"
	// Forbidden: the API server refused the LIST (403).
	Forbidden State = "forbidden"
	// Absent: the API server does not serve the kind.
	Absent State = "absent"
	// Failed: the LIST failed otherwise; objects of earlier pages may be here.
	Failed State = "failed"
	// Unasked: nobody needed the kind.
	Unasked State = "unasked"
	// NeedsCluster: manifests cannot hold the kind.
	NeedsCluster State = "needs a cluster"
)

// Coverage tells how the read of one kind ended.
type Coverage struct {
	Kind    Kind
	State   State
	Objects int
	Pages   int
	// Reason says in one line why the state is Forbidden, Absent or Failed.
	Reason string
	// Allow is the RBAC rule under which the read would be allowed.
	Allow string
	// Optional kinds are custom ones: a cluster that does not serve them has
	// none, which is known and not a gap.
	Optional bool
}

// Coverage tells how the read of a kind ended.
func (s *Snapshot) Coverage(kind Kind) Coverage {
	if c, ok := s.coverage[kind]; ok {
		return c
	}
	return Coverage{Kind: kind, State: Unasked, Reason: "nothing asked for it"}
}

// WasRead reports whether every object of the kind is in the Snapshot.
func (s *Snapshot) WasRead(kind Kind) bool { return s.Coverage(kind).State == Read }

// Known reports whether it is known what the cluster has of the kind: it was
// read, or the cluster does without it.
func (s *Snapshot) Known(kind Kind) bool {
	c := s.Coverage(kind)
	return c.State == Read || (c.State == Absent && c.Optional)
}

// Coverages lists how each kind that was asked for ended, sorted by kind.
func (s *Snapshot) Coverages() []Coverage {
	all := make([]Coverage, 0, len(s.coverage))
	for _, c := range s.coverage {
		all = append(all, c)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Kind < all[j].Kind })
	return all
}

// Position tells where in the manifests an object stands.
func (s *Snapshot) Position(ref Ref) (Position, bool) {
	p, ok := s.sources[ref]
	return p, ok
}

// SelectableLabels are what a label selector is held against: of a Workload its
// own labels and its pods' together, of another object its labels; nil when it
// is not in the Snapshot.
func (s *Snapshot) SelectableLabels(ref Ref) map[string]string {
	if w := s.WorkloadByRef(ref); w != nil {
		return labels.Merge(w.Template.Labels, w.Meta.Labels)
	}
	if meta := s.metaOf(ref); meta != nil {
		return meta.GetLabels()
	}
	return nil
}

// LabelsOf are the labels of an object itself; nil when it is not in the
// Snapshot.
func (s *Snapshot) LabelsOf(ref Ref) map[string]string {
	if meta := s.metaOf(ref); meta != nil {
		return meta.GetLabels()
	}
	return nil
}

// AnnotationsOf are the annotations of an object; of a Workload, those of the
// object that holds its pod template. Nil when it is not in the Snapshot.
func (s *Snapshot) AnnotationsOf(ref Ref) map[string]string {
	if w := s.WorkloadByRef(ref); w != nil {
		return w.Meta.Annotations
	}
	if meta := s.metaOf(ref); meta != nil {
		return meta.GetAnnotations()
	}
	return nil
}

// Serves reports whether the API server serves a resource, named
// resource.group; of a dump, whether it holds the definition.
func (s *Snapshot) Serves(resource string) bool {
	if s.served != nil {
		return s.served[resource]
	}
	for _, definition := range s.Definitions {
		if definition.Name == resource {
			return true
		}
	}
	return false
}
