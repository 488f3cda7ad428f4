package drain

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// static is an informer over objects that are here already: it has no watch, no
// goroutine and no delay, so that a simulation is the same each time. The
// plugins see changes that [static.add] and [static.remove] make at once.
type static struct {
	// What no plugin calls is left to this nil.
	cache.SharedIndexInformer
	indexer  cache.Indexer
	handlers []cache.ResourceEventHandler
}

func newStatic() *static {
	return &static{indexer: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})}
}

// give makes a factory hand out a static informer over the objects.
func give[T runtime.Object](factory informers.SharedInformerFactory, objects []T) *static {
	s := newStatic()
	for _, object := range objects {
		_ = s.indexer.Add(object) // fails without a name alone
	}
	var zero T
	factory.InformerFor(zero, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer { return s })
	return s
}

func (s *static) add(object any) {
	_ = s.indexer.Add(object)
	for _, h := range s.handlers {
		h.OnAdd(object, false)
	}
}

func (s *static) remove(object any) {
	_ = s.indexer.Delete(object)
	for _, h := range s.handlers {
		h.OnDelete(object)
	}
}

// AddEventHandler tells the handler of every object before it returns.
func (s *static) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	s.handlers = append(s.handlers, handler)
	for _, object := range s.indexer.List() {
		handler.OnAdd(object, true)
	}
	return synced{}, nil
}

// AddEventHandlerWithResyncPeriod is AddEventHandler: nothing is resynced.
func (s *static) AddEventHandlerWithResyncPeriod(handler cache.ResourceEventHandler, _ time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return s.AddEventHandler(handler)
}

// AddEventHandlerWithOptions is AddEventHandler: nothing is resynced.
func (s *static) AddEventHandlerWithOptions(handler cache.ResourceEventHandler, _ cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return s.AddEventHandler(handler)
}

// GetIndexer is the informer's store.
func (s *static) GetIndexer() cache.Indexer { return s.indexer }

// GetStore is the informer's store.
func (s *static) GetStore() cache.Store { return s.indexer }

// AddIndexers adds indexes to the store.
func (s *static) AddIndexers(indexers cache.Indexers) error { return s.indexer.AddIndexers(indexers) }

// HasSynced is always true.
func (s *static) HasSynced() bool { return true }

// HasSyncedChecker is always done.
func (s *static) HasSyncedChecker() cache.DoneChecker { return synced{} }

// synced is a registration that has seen everything.
type synced struct{}

// HasSynced is always true.
func (synced) HasSynced() bool { return true }

// HasSyncedChecker is always done.
func (synced) HasSyncedChecker() cache.DoneChecker { return synced{} }

// Name names what is waited for.
func (synced) Name() string { return "snapshot" }

// Done is closed.
func (synced) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

// stores are the objects that the scheduler's plugins read beside pods and
// nodes, and that a drain makes or ends.
type stores struct {
	factory        informers.SharedInformerFactory
	claims         *static // PersistentVolumeClaims
	resourceClaims *static
}

func newStores(s *cluster.Snapshot) stores {
	factory := informers.NewSharedInformerFactory(nil, 0)
	give(factory, s.Namespaces)
	give(factory, s.Services)
	give(factory, s.ReplicationControllers)
	give(factory, replicaSets(s))
	give(factory, s.StatefulSets)
	give(factory, s.Volumes)
	give(factory, s.Nodes)
	give(factory, s.Budgets)
	give(factory, s.StorageClasses)
	give(factory, s.CSINodes)
	give(factory, s.CSIDrivers)
	give(factory, s.CSIStorageCapacities)
	give(factory, s.VolumeAttachments)
	give(factory, s.ResourceSlices)
	give(factory, s.DeviceClasses)
	give(factory, []*corev1.Pod(nil))
	return stores{factory: factory, claims: give(factory, s.Claims), resourceClaims: give(factory, s.ResourceClaims)}
}
