package cluster

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// key names an object of a known kind.
type key struct{ namespace, name string }

// lookups find objects by name. Each is made when a practice first asks for it.
type lookups struct {
	services  func() map[key]*corev1.Service
	claims    func() map[key]*corev1.PersistentVolumeClaim
	volumes   func() map[string]*corev1.PersistentVolume
	endpoints func() map[key]Endpoints

	accounts  func() map[key]*corev1.ServiceAccount
	podUsages func() map[key]*PodUsage
	reserved  func() map[string]Reserved
	owners    func() map[*Pod]*Workload
}

func (s *Snapshot) newLookups() lookups {
	return lookups{
		services: sync.OnceValue(func() map[key]*corev1.Service {
			return byKey(s.Services, func(o *corev1.Service) key { return key{o.Namespace, o.Name} })
		}),
		claims: sync.OnceValue(func() map[key]*corev1.PersistentVolumeClaim {
			return byKey(s.Claims, func(o *corev1.PersistentVolumeClaim) key { return key{o.Namespace, o.Name} })
		}),
		volumes: sync.OnceValue(func() map[string]*corev1.PersistentVolume {
			return byKey(s.Volumes, func(o *corev1.PersistentVolume) string { return o.Name })
		}),
		endpoints: sync.OnceValue(s.countEndpoints),
		accounts: sync.OnceValue(func() map[key]*corev1.ServiceAccount {
			return byKey(s.ServiceAccounts, func(o *corev1.ServiceAccount) key { return key{o.Namespace, o.Name} })
		}),
		podUsages: sync.OnceValue(func() map[key]*PodUsage {
			return byKey(s.PodUsages, func(u *PodUsage) key { return key{u.Namespace, u.Pod} })
		}),
		reserved: sync.OnceValue(s.indexReserved),
		owners: sync.OnceValue(func() map[*Pod]*Workload {
			all := make(map[*Pod]*Workload, len(s.Pods))
			for _, w := range s.workloads {
				for _, pod := range w.Pods {
					all[pod] = w
				}
			}
			return all
		}),
	}
}

func byKey[K comparable, T any](objects []*T, keyOf func(*T) K) map[K]*T {
	all := make(map[K]*T, len(objects))
	for _, object := range objects {
		all[keyOf(object)] = object
	}
	return all
}

// metas find the metadata of an object that something can be said of. A kind's are
// gathered when one of them is first asked for: of most kinds nobody asks.
type metas struct {
	mu    sync.Mutex
	known map[kindOf]map[key]metav1.Object
}

type kindOf struct{ apiVersion, kind string }

// metaOf is an object's metadata; nil when it is not in the Snapshot.
func (s *Snapshot) metaOf(ref Ref) metav1.Object {
	s.metas.mu.Lock()
	defer s.metas.mu.Unlock()
	kind := kindOf{ref.APIVersion, ref.Kind}
	known, gathered := s.metas.known[kind]
	if !gathered {
		known = s.gatherMetas(kind)
		s.metas.known[kind] = known
	}
	return known[key{ref.Namespace, ref.Name}]
}

func (s *Snapshot) gatherMetas(kind kindOf) map[key]metav1.Object {
	all := map[key]metav1.Object{}
	for _, reading := range readings() {
		if reading.object != kind.kind || reading.kind == PodMetrics { // told of the pod
			continue
		}
		reading.each(s, func(obj metav1.Object) {
			ref := reading.ref(obj)
			if object, ok := obj.(*unstructured.Unstructured); ok {
				ref = RefTo(object)
			}
			if ref.APIVersion == kind.apiVersion && ref.Kind == kind.kind {
				all[key{ref.Namespace, ref.Name}] = obj
			}
		})
	}
	return all
}

// Service finds a Service by name; nil when there is none.
func (s *Snapshot) Service(namespace, name string) *corev1.Service {
	return s.services()[key{namespace, name}]
}

// ServiceAccount finds a service account by name; nil when there is none.
func (s *Snapshot) ServiceAccount(namespace, name string) *corev1.ServiceAccount {
	return s.accounts()[key{namespace, name}]
}

// WorkloadOf is the Workload that runs a pod of the Snapshot.
func (s *Snapshot) WorkloadOf(pod *Pod) *Workload { return s.owners()[pod] }

// Claim finds a PersistentVolumeClaim by name; nil when there is none.
func (s *Snapshot) Claim(namespace, name string) *corev1.PersistentVolumeClaim {
	return s.claims()[key{namespace, name}]
}

// Volume finds a PersistentVolume by name; nil when there is none.
func (s *Snapshot) Volume(name string) *corev1.PersistentVolume { return s.volumes()[name] }

// Endpoints are how many a Service has, by its EndpointSlices, and how many of
// them take requests.
type Endpoints struct{ Ready, All int }

// EndpointsOf counts the endpoints of a Service.
func (s *Snapshot) EndpointsOf(service *corev1.Service) Endpoints {
	return s.endpoints()[key{service.Namespace, service.Name}]
}

// countEndpoints takes an unknown readiness for ready, as the API asks of its
// readers (k8s.io/api/discovery/v1, EndpointConditions).
func (s *Snapshot) countEndpoints() map[key]Endpoints {
	all := map[key]Endpoints{}
	for _, slice := range s.EndpointSlices {
		of := key{slice.Namespace, slice.Labels[discoveryv1.LabelServiceName]}
		count := all[of]
		for i := range slice.Endpoints {
			count.All++
			if ready := slice.Endpoints[i].Conditions.Ready; ready == nil || *ready {
				count.Ready++
			}
		}
		all[of] = count
	}
	return all
}

// ClaimOf is the name of the PersistentVolumeClaim behind a pod's volume, ""
// when there is none; that of an ephemeral volume is named after its pod.
func ClaimOf(pod string, volume *corev1.Volume) string {
	switch {
	case volume.PersistentVolumeClaim != nil:
		return volume.PersistentVolumeClaim.ClaimName
	case volume.Ephemeral != nil:
		return pod + "-" + volume.Name
	}
	return ""
}
