package etcd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"

	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/take"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// liveHash asks the live member for its hash at a revision.
type liveHash func(ctx context.Context, revision int64) (hash take.Hash, incomparable string, err error)

// compare holds the proven file against the live cluster at the same revision.
func (b *Backup) compare(ctx context.Context, v *report.EtcdVerification, live take.Hash, why string, failed error) {
	if v.Snapshot.HashRevision > 0 {
		check := compareHash(v.Snapshot, live, why, failed)
		v.Proof.Checks = append(v.Proof.Checks, check)
		if check.State == report.CheckFailed && v.Proof.Verdict == report.Proven {
			v.Proof.Verdict, v.Proof.Reason = report.Differs, check.Detail
		}
	}
	if v.Contents == nil {
		return
	}
	check := b.compareCounts(ctx, v)
	v.Proof.Checks = append(v.Proof.Checks, check)
	if check.State == report.CheckFailed && v.Proof.Verdict == report.Proven {
		v.Proof.Verdict, v.Proof.Reason = report.Differs, check.Detail
	}
}

func compareHash(file report.EtcdSnapshot, live take.Hash, why string, failed error) report.EtcdCheck {
	check := report.EtcdCheck{Name: "live keys"}
	tell := func(state, format string, args ...any) report.EtcdCheck {
		check.State, check.Detail = state, fmt.Sprintf(format, args...)
		return check
	}
	switch {
	case failed != nil:
		return tell(report.CheckNotChecked, "the live member was not asked: %v", failed)
	case why != "":
		return tell(report.CheckNotComparable, "the live member tells no hash at revision %d: %s", file.HashRevision, why)
	case live.CompactRevision != file.CompactRevision:
		return tell(report.CheckNotComparable, "the live member was compacted at revision %d meanwhile, the snapshot at %d", live.CompactRevision, file.CompactRevision)
	case live.Hash != file.HashKV:
		return tell(report.CheckFailed, "the live member's hash at revision %d is %08x, the snapshot's %08x", file.HashRevision, live.Hash, file.HashKV)
	default:
		return tell(report.CheckPassed, "the live member has the same hash of all keys at revision %d", file.HashRevision)
	}
}

// countsAtOnce bounds the requests under way.
const countsAtOnce = 10

// compareCounts counts each resource through the API at the snapshot's very
// revision, by metadata alone and one object a request: the server tells how
// many remain.
func (b *Backup) compareCounts(ctx context.Context, v *report.EtcdVerification) report.EtcdCheck {
	check := report.EtcdCheck{Name: "live objects", State: report.CheckNotChecked}
	if b.Snapshot == nil {
		check.Detail = "no cluster's API could be asked"
		return check
	}
	if !b.sameCluster(v.Contents) {
		check.Detail = "the current context is another cluster than this etcd's"
		b.warn("the current context is another cluster than this etcd's: nothing was compared or recorded there")
		return check
	}
	b.Step("counting live objects")
	resources, err := b.resources()
	if err != nil {
		check.Detail = err.Error()
		return check
	}
	client, err := metadata.NewForConfig(b.Config)
	if err != nil {
		check.Detail = err.Error()
		return check
	}
	at := max(v.Snapshot.HashRevision, 1)
	revision := strconv.FormatInt(at, 10)
	// An API server of another etcd, such as the one that this was restored from,
	// would wait for a revision that never comes.
	if now, err := presentRevision(ctx, client); err == nil && now < at {
		check.State, check.Detail = report.CheckNotComparable, fmt.Sprintf("the API server's etcd is at revision %d, and the snapshot at %s", now, revision)
		return check
	}
	var mu sync.Mutex
	var wrong []string
	unknown := map[string][]string{} // by the reason
	compared, objects := 0, 0
	group, counting := errgroup.WithContext(ctx)
	group.SetLimit(countsAtOnce)
	for i := range v.Contents.Resources {
		r := &v.Contents.Resources[i]
		gvr, served := resources[r.Resource]
		if !served {
			continue // of the API server's own, such as its leases
		}
		group.Go(func() error {
			n, err := count(counting, client, gvr, revision)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				unknown[reason(err)] = append(unknown[reason(err)], r.Resource)
				return nil
			case n != r.Count:
				wrong = append(wrong, fmt.Sprintf("%s: %d in the backup, %d live", r.Resource, r.Count, n))
			}
			r.Live = &n
			compared++
			objects += n
			return nil
		})
	}
	_ = group.Wait() // each failure is told
	slices.Sort(wrong)
	switch {
	case len(wrong) > 0:
		check.State, check.Detail = report.CheckFailed, fmt.Sprintf("at revision %s counts differ: %s", revision, strings.Join(wrong, ", "))
	case compared == 0:
		check.State, check.Detail = report.CheckNotComparable, "the API server counts nothing at revision "+revision+": "+uncounted(unknown)
	default:
		check.State = report.CheckPassed
		check.Detail = fmt.Sprintf("the API server counts the same %d objects of %d resources at revision %s", objects, compared, revision)
		if len(unknown) > 0 {
			check.Detail += "; not counted: " + uncounted(unknown)
		}
	}
	return check
}

// uncounted names what was not counted, or how many where they are many.
func uncounted(byReason map[string][]string) string {
	var all []string
	for _, why := range slices.Sorted(maps.Keys(byReason)) {
		resources := byReason[why]
		slices.Sort(resources)
		what := strings.Join(resources, ", ")
		if len(resources) > 3 {
			what = fmt.Sprintf("%d resources", len(resources))
		}
		all = append(all, what+" ("+why+")")
	}
	return strings.Join(all, "; ")
}

func reason(err error) string {
	if r := apierrors.ReasonForError(err); r != metav1.StatusReasonUnknown {
		return string(r)
	}
	return err.Error()
}

// presentRevision is where the API server's etcd is.
func presentRevision(ctx context.Context, client metadata.Interface) (int64, error) {
	list, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(list.ResourceVersion, 10, 64)
}

func count(ctx context.Context, client metadata.Interface, gvr schema.GroupVersionResource, revision string) (int, error) {
	list, err := client.Resource(gvr).List(ctx, metav1.ListOptions{Limit: 1, ResourceVersion: revision, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if err != nil {
		return 0, err
	}
	n := len(list.Items)
	if list.RemainingItemCount != nil {
		n += int(*list.RemainingItemCount)
	} else if list.Continue != "" {
		return 0, errors.New("the server does not tell how many remain")
	}
	return n, nil
}

// resources are the API's resources by where the API server keeps them in etcd
// (kubernetes: pkg/kubeapiserver/default_storage_factory_builder.go,
// SpecialDefaultResourcePrefixes; custom resources lie below their group).
func (b *Backup) resources() (map[string]schema.GroupVersionResource, error) {
	_, lists, err := b.Client.Discovery().ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("asking the API server what it serves: %w", err)
	}
	special := map[string]string{
		"nodes": "minions", "services": "services/specs", "endpoints": "services/endpoints",
		"replicationcontrollers": "controllers", "ingresses": "ingress", "podsecuritypolicies": "podsecuritypolicy",
	}
	found := map[string]schema.GroupVersionResource{}
	add := func(key string, gvr schema.GroupVersionResource) {
		if _, is := found[key]; !is {
			found[key] = gvr // the first group that serves it: the core, the preferred version
		}
	}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list") {
				continue
			}
			gvr := gv.WithResource(r.Name)
			if gv.Group != "" {
				add(gv.Group+"/"+r.Name, gvr)
			}
			if !strings.Contains(gv.Group, ".") || strings.HasSuffix(gv.Group, ".k8s.io") && gv.Group != "metrics.k8s.io" {
				name := r.Name
				if other, is := special[name]; is {
					name = other
				}
				add(name, gvr)
			}
		}
	}
	return found, nil
}
