package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/discovery"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

const (
	// pageSize is kubectl's own chunk size: large enough that a page costs
	// little more than its bytes, small enough for the API server's memory.
	pageSize = 500
	// atOnce bounds the requests in flight. Client-side rate limiting is off:
	// API Priority and Fairness shares the server out, and it sees all clients.
	atOnce = 10
	// Protobuf is preferred; servers of aggregated kinds may have JSON alone.
	anyObject   = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	anyMetadata = runtime.ContentTypeProtobuf + ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1," +
		runtime.ContentTypeJSON + ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
)

// Live is an API server as a source of a Snapshot.
type Live struct {
	// Config is the connection, as kubectl's flags resolved it. It is copied.
	Config *rest.Config
	// Context is the kubeconfig context's name, for the report.
	Context string
	// Namespace narrows namespaced kinds to one namespace; "" is all.
	Namespace string
	// Fields narrows kinds further, each by a field selector.
	Fields map[Kind]string
	// Changes asks for the last hour's changes to what is read.
	Changes bool
	// Progress, where set, is called after each page with the kind and the
	// number of its objects so far. Calls may come from several goroutines.
	Progress func(kind Kind, objects int)
}

// Load reads every kind in needs, each with one paged LIST, and returns what
// could be read: a kind that is forbidden, absent or failing is told by
// [Snapshot.Coverage] and never ends the read. When ctx ends, what was read by
// then is returned.
//
// The error is non-nil only when there is nothing to judge: the server could
// not be reached, refused the credentials, or let none of the kinds be listed.
func (l Live) Load(ctx context.Context, needs []Kind) (*Snapshot, error) {
	reader, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	probed := reader.probeAll(ctx, needs)
	reader.readAll(ctx, withProbeNeeds(needs))
	if slices.Contains(needs, PodTemplates) {
		reader.cover(PodTemplates, reader.readTemplates(ctx))
	}
	probed()
	if err := reader.anyRead(); err != nil {
		return nil, err
	}
	if reader.changes != nil {
		reader.snapshot.Changes = reader.changes.sorted()
	}
	return reader.snapshot.complete(), nil
}

// reader carries one read.
type reader struct {
	snapshot *Snapshot
	client   *rest.RESTClient
	progress func(Kind, int)
	fields   map[Kind]string

	requests *semaphore.Weighted    // those in flight
	listed   map[Kind]chan struct{} // closed when the kind's LIST has ended

	discovered chan struct{} // closed when served and discoveryErr are set
	served     map[schema.GroupResource]schema.GroupVersionResource
	failure    error

	pages   *pages
	changes *changes // nil where nobody asked

	mu sync.Mutex // guards snapshot.coverage
}

// connect makes the one request that tells whether there is a server at all,
// so that a dead one costs one attempt and not one a kind.
func (l Live) connect(ctx context.Context) (*reader, error) {
	types := readableTypes()
	codecs := serializer.NewCodecFactory(types).WithoutConversion()
	config := rest.CopyConfig(l.Config)
	config.QPS = -1
	config.ContentConfig = rest.ContentConfig{
		ContentType:          runtime.ContentTypeProtobuf,
		AcceptContentTypes:   anyObject,
		NegotiatedSerializer: codecs,
	}
	seen := &observer{}
	config.Wrap(seen.wrap)
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig context %q: %w", l.Context, err)
	}
	client, err := rest.UnversionedRESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig context %q: %w", l.Context, err)
	}
	discoverer := discovery.NewDiscoveryClient(client)
	version, err := discoverer.ServerVersionWithContext(ctx)
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, unreachable(config.Host, err)
	}
	r := &reader{
		client:     client,
		progress:   l.Progress,
		fields:     l.Fields,
		requests:   semaphore.NewWeighted(atOnce),
		listed:     map[Kind]chan struct{}{},
		discovered: make(chan struct{}),
		pages:      &pages{types: types, decoder: codecs.SupportedMediaTypes(), shared: newSharer()},
		snapshot: &Snapshot{
			Origin: Origin{
				Live: true, Context: l.Context, Server: config.Host, Namespace: l.Namespace,
				Certificates: connectionCertificates(seen, config),
			},
			Time:     seen.time(),
			coverage: map[Kind]Coverage{},
			systems:  newSystems(),
			anchors:  newAnchors(),
		},
	}
	if l.Changes {
		r.changes = &changes{since: r.snapshot.Time.Add(-changeWindow)}
	}
	if version != nil {
		r.snapshot.Origin.Version = version.GitVersion
	}
	for _, reading := range readings() {
		r.listed[reading.kind] = make(chan struct{})
	}
	go func() {
		defer close(r.discovered)
		r.discover(ctx, discoverer)
	}()
	return r, nil
}

// enter waits until one more request may be in flight; leave is called when its
// answer has been read.
func (r *reader) enter(ctx context.Context) (leave func(), err error) {
	if err := r.requests.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { r.requests.Release(1) }), nil
}

// coverage tells how the read of a kind ended, while others may still go on.
func (r *reader) coverage(kind Kind) Coverage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snapshot.Coverage(kind)
}

// cover notes how the read of a kind ended.
func (r *reader) cover(kind Kind, coverage Coverage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshot.coverage[kind] = coverage
}

// readableTypes are the types that any reading decodes.
func readableTypes() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, metricsv1beta1.AddToScheme, metav1.AddMetaToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // the same types always register, or no build of this program works
		}
	}
	return scheme
}

// discover asks what the server serves, in the two requests of aggregated
// discovery. Groups that do not answer are noted and cost nothing else.
func (r *reader) discover(ctx context.Context, discoverer *discovery.DiscoveryClient) {
	leave, err := r.enter(ctx)
	if err != nil {
		r.failure = err
		return
	}
	defer leave()
	groups, resources, failed, err := discoverer.GroupsAndMaybeResourcesWithContext(ctx)
	if err != nil {
		r.failure = err
		return
	}
	r.served = map[schema.GroupResource]schema.GroupVersionResource{}
	for _, group := range groups.Groups {
		// The preferred version is last, and so wins.
		versions := slices.Clone(group.Versions)
		slices.Reverse(versions)
		for _, v := range versions {
			gv := schema.GroupVersion{Group: group.Name, Version: v.Version}
			if list := resources[gv]; list != nil {
				for _, resource := range list.APIResources {
					r.served[gv.WithResource(resource.Name).GroupResource()] = gv.WithResource(resource.Name)
				}
			}
		}
	}
	if resources == nil {
		r.failure = errors.New("the server has no aggregated discovery (Kubernetes before 1.26)")
	}
	for gv, err := range failed {
		r.snapshot.Origin.Unserved = append(r.snapshot.Origin.Unserved, Unserved{GroupVersion: gv.String(), Reason: oneLine(err)})
	}
	slices.SortFunc(r.snapshot.Origin.Unserved, func(a, b Unserved) int { return strings.Compare(a.GroupVersion, b.GroupVersion) })
}

// readAll reads the needed kinds, at most atOnce together, and tells the probes
// of each that it is there.
func (r *reader) readAll(ctx context.Context, needs []Kind) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, reading := range readings() {
		if slices.Contains(needs, reading.kind) && !comesWithData(needs, reading.kind) {
			group.Go(func() error {
				r.cover(reading.kind, r.read(ctx, reading))
				close(r.listed[reading.kind])
				return nil // a kind that fails does not end the others
			})
		}
	}
	_ = group.Wait()
	r.snapshot.shareConfigMaps(needs)
	<-r.discovered
}

// read reads one kind, page by page, into the Snapshot's own field for it;
// no other goroutine touches that field.
func (r *reader) read(ctx context.Context, reading reading) Coverage {
	coverage := Coverage{Kind: reading.kind, State: Read, Allow: reading.allows(), Optional: reading.custom()}
	if reading.custom() {
		gvr, err := r.findServed(ctx, reading.gvr.GroupResource())
		if err != nil {
			return coverage.ended(err)
		}
		reading.gvr = gvr
	}
	if reading.onlyWith.Resource != "" {
		coverage.Optional = true
		if _, err := r.findServed(ctx, reading.onlyWith); err != nil {
			return coverage.ended(err)
		}
	}
	options := metav1.ListOptions{Limit: pageSize, FieldSelector: r.selector(reading)}
	var buffer bytes.Buffer // of one page after another
	for {
		list, err := r.page(ctx, reading, options, &buffer)
		if token := continueAfterExpiry(err); token != "" && options.Continue != token {
			options.Continue = token
			continue
		}
		if err != nil {
			return coverage.ended(err)
		}
		coverage.Pages++
		err = meta.EachListItem(list, func(obj runtime.Object) error {
			if r.changes != nil {
				r.changes.note(reading, obj)
			}
			if accessor, err := meta.Accessor(obj); err == nil && reading.kind.isWritten() {
				r.snapshot.edits.note(reading.ref(accessor), accessor)
			}
			if reading.kind != Pods { // their pages come so
				trim(obj)
				r.pages.shared.share(obj)
			}
			reading.keep(r.snapshot, obj)
			coverage.Objects++
			return nil
		})
		if err != nil {
			return coverage.ended(err)
		}
		if r.progress != nil {
			r.progress(reading.kind, coverage.Objects)
		}
		listMeta, err := meta.ListAccessor(list)
		if err != nil {
			return coverage.ended(err)
		}
		if options.Continue = listMeta.GetContinue(); options.Continue == "" {
			return coverage
		}
		if reading.most > 0 && coverage.Objects >= reading.most {
			coverage.Reason = fmt.Sprintf("only the first %d were read", coverage.Objects)
			return coverage
		}
	}
}

// selector is the field selector of a kind's LIST.
func (r *reader) selector(reading reading) string {
	own := reading.selectorIn(r.snapshot.Origin.Namespace)
	return strings.Trim(own+","+r.fields[reading.kind], ",")
}

// findServed finds the version under which the server serves a custom
// resource; [errAbsent] when it does not.
func (r *reader) findServed(ctx context.Context, resource schema.GroupResource) (schema.GroupVersionResource, error) {
	select {
	case <-r.discovered:
	case <-ctx.Done():
		return schema.GroupVersionResource{}, ctx.Err()
	}
	if gvr, ok := r.served[resource]; ok {
		return gvr, nil
	}
	if r.failure != nil {
		return schema.GroupVersionResource{}, fmt.Errorf("discovery: %w", r.failure)
	}
	return schema.GroupVersionResource{}, errAbsent
}

// page requests one page of a kind and reads it into the buffer.
func (r *reader) page(ctx context.Context, reading reading, options metav1.ListOptions, buffer *bytes.Buffer) (runtime.Object, error) {
	accept := anyObject
	switch reading.form {
	case metadata, untypedMD:
		accept = anyMetadata
	case untyped, chosen:
		accept = runtime.ContentTypeJSON
	}
	request := r.client.Get().
		AbsPath(reading.path(r.snapshot.Origin.Namespace)...).
		VersionedParams(&options, metav1.ParameterCodec).
		SetHeader("Accept", accept)
	if err := r.readInto(ctx, request, buffer); err != nil {
		return nil, err
	}
	switch reading.form {
	case untyped:
		list := &unstructured.UnstructuredList{}
		return list, list.UnmarshalJSON(buffer.Bytes())
	case chosen:
		list := reading.emptyList()
		return list, json.Unmarshal(buffer.Bytes(), list)
	default:
		return r.pages.decode(buffer.Bytes())
	}
}

// tries are how often a request is sent whose connection broke before an answer
// began, as when an API server restarts.
const tries = 3

// readInto sends a request and reads its answer.
func (r *reader) readInto(ctx context.Context, request *rest.Request, buffer *bytes.Buffer) error {
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	var body io.ReadCloser
	for range tries {
		body, err = request.Stream(ctx)
		if !utilnet.IsConnectionReset(err) && !utilnet.IsProbableEOF(err) {
			break
		}
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // it was only read
	buffer.Reset()
	_, err = buffer.ReadFrom(body)
	return err
}

// continueAfterExpiry is the token with which a LIST goes on when its own
// expired between two pages (410): the rest is read as it is now, which is
// what a diagnosis wants, rather than from the start.
func continueAfterExpiry(err error) string {
	var status apierrors.APIStatus
	if !apierrors.IsResourceExpired(err) || !errors.As(err, &status) {
		return ""
	}
	return status.Status().Continue
}

// errAbsent says that the API server does not serve a kind.
var errAbsent = errors.New("the cluster does not serve it")

// ended is how a read that ended with err is told.
func (c Coverage) ended(err error) Coverage {
	switch {
	case errors.Is(err, errAbsent), apierrors.IsNotFound(err):
		c.State, c.Reason = Absent, errAbsent.Error()
	case apierrors.IsForbidden(err):
		c.State, c.Reason = Forbidden, oneLine(err)
	default:
		c.State, c.Reason = Failed, oneLine(err)
	}
	return c
}

// anyRead is an error when not one kind could be listed: then there is nothing
// to judge, and a report would be a score over nothing. That the API server
// tells anybody its version and health does not count.
func (r *reader) anyRead() error {
	var first *Coverage
	for _, reading := range readings() {
		c := r.snapshot.Coverage(reading.kind)
		switch {
		case c.State == Read || c.Pages > 0:
			return nil
		case c.State != Unasked && (first == nil || first.State == Absent):
			first = &c
		}
	}
	if first == nil {
		return nil // nothing was asked for
	}
	return fmt.Errorf("nothing could be read from %s: %s: %s", r.snapshot.Origin.Server, first.Kind, first.Reason)
}

// unreachable says in one line why there is no server to read.
func unreachable(host string, err error) error {
	var netErr *url.Error
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the server %s does not accept these credentials (401): log in again, or check the kubeconfig's user", host)
	case errors.As(err, &netErr):
		return fmt.Errorf("cannot reach the server %s: %w", host, netErr.Err)
	default:
		return fmt.Errorf("cannot use the server %s: %w", host, err)
	}
}

// oneLine is an error's text on one line, without what every line repeats.
func oneLine(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer before the deadline"
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// observer notes what a connection shows beside its answers.
type observer struct {
	mu    sync.Mutex
	first *http.Response // headers and TLS state alone; its body is its reader's
}

func (o *observer) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err == nil {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.first == nil {
				o.first = &http.Response{Header: response.Header.Clone(), TLS: response.TLS}
			}
		}
		return response, err
	})
}

// time is the server's clock (its Date header), or this machine's.
func (o *observer) time() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first != nil {
		if date, err := http.ParseTime(o.first.Header.Get("Date")); err == nil {
			return date
		}
	}
	return time.Now()
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
