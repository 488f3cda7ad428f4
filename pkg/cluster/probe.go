package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// The reads beyond LISTs. Each is made only when a practice needs it, ends
// with a Coverage like a LIST, and never ends the run.
const (
	// KubeletStats are the nodes' and volumes' own figures, from each kubelet.
	KubeletStats Kind = "nodes/proxy (stats/summary)"
	// KubeletConfigs are the kubelets' effective configurations.
	KubeletConfigs Kind = "nodes/proxy (configz)"
	// KubeletTTLs are some of the kubelets' own metrics.
	KubeletTTLs Kind = "nodes/proxy (metrics)"
	// ServerMetrics are some of the API server's own metrics.
	ServerMetrics Kind = "/metrics"
	// ServerHealth are the API server's checks of itself.
	ServerHealth Kind = "/readyz"
)

// probe is one read beyond LISTs. It fills a field of the Snapshot of its own.
type probe struct {
	kind  Kind
	allow rbacv1.PolicyRule
	needs []Kind // the kinds that say what to ask
	read  func(context.Context, *reader, *Coverage) error
}

func probes() []probe {
	nodesProxy := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"nodes/proxy"}, Verbs: []string{"get"}}
	path := func(path string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{NonResourceURLs: []string{path}, Verbs: []string{"get"}}
	}
	return append([]probe{
		{ServerHealth, path("/readyz"), nil, readServerHealth},
		{ServerMetrics, path("/metrics"), nil, readServerMetrics},
		{KubeletStats, nodesProxy, []Kind{Nodes, Pods}, readKubeletStats},
		{KubeletConfigs, nodesProxy, []Kind{Nodes}, readKubeletConfigs},
		{KubeletTTLs, nodesProxy, []Kind{Nodes}, readKubeletMetrics},
	}, prometheusProbes()...)
}

// withProbeNeeds adds the kinds that the needed probes are told by.
func withProbeNeeds(needs []Kind) []Kind {
	for _, p := range probes() {
		if slices.Contains(needs, p.kind) {
			needs = append(slices.Clone(needs), p.needs...)
		}
	}
	return needs
}

// probeAll begins the needed probes, each once the LISTs that it needs are there;
// wait returns when all have ended.
func (r *reader) probeAll(ctx context.Context, needs []Kind) (wait func()) {
	var group sync.WaitGroup
	for _, p := range probes() {
		if !slices.Contains(needs, p.kind) {
			continue
		}
		group.Go(func() {
			for _, kind := range p.needs {
				<-r.listed[kind]
			}
			coverage := Coverage{Kind: p.kind, State: Read, Allow: told(p.allow)}
			if err := p.read(ctx, r, &coverage); err != nil {
				coverage = coverage.ended(err)
			}
			r.cover(p.kind, coverage)
		})
	}
	return group.Wait
}

// errTooLarge says that an answer was larger than anything expected of it.
var errTooLarge = errors.New("the answer is too large")

// open sends a request and opens its answer, no more than limit bytes of it. Until
// it is closed the request counts as in flight.
func (r *reader) open(ctx context.Context, limit int64, request *rest.Request) (io.ReadCloser, error) {
	leave, err := r.enter(ctx)
	if err != nil {
		return nil, err
	}
	body, err := request.Stream(ctx)
	if err != nil {
		leave()
		return nil, err
	}
	return &openAnswer{limitedReader{body, limit}, body, leave}, nil
}

// openAnswer is an answer that is being read.
type openAnswer struct {
	limitedReader
	body  io.Closer
	leave func()
}

func (a *openAnswer) Close() error {
	defer a.leave()
	return a.body.Close()
}

// path asks for what is no object.
func (r *reader) path(path string) *rest.Request {
	return r.client.Get().AbsPath(path).SetHeader("Accept", "*/*")
}

// readAnswer reads an answer whole.
func (r *reader) readAnswer(ctx context.Context, limit int64, request *rest.Request) ([]byte, error) {
	body, err := r.open(ctx, limit, request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // it was only read
	return io.ReadAll(body)
}

// limitedReader fails where io.LimitedReader would pretend that the end came.
type limitedReader struct {
	from io.Reader
	left int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.from.Read(p)
	l.left -= int64(n)
	return n, err
}

// eachNode asks the given nodes' kubelets for one path, a few at once, and
// hands over what each said. It is an error when none of them answered; of
// some that did not, the reason says how many.
func (r *reader) eachNode(ctx context.Context, nodes []string, path string, coverage *Coverage, take func(node string, body []byte) error) error {
	const largest = 8 << 20 // a summary is about 2 KiB a pod
	var group errgroup.Group
	group.SetLimit(atOnce)
	failed := make([]error, len(nodes))
	bodies := make([][]byte, len(nodes))
	for i, node := range nodes {
		group.Go(func() error {
			bodies[i], failed[i] = r.readAnswer(ctx, largest, r.path("/api/v1/nodes/"+node+"/proxy/"+path))
			return nil
		})
	}
	_ = group.Wait()
	var first error
	for i, node := range nodes {
		if failed[i] == nil {
			failed[i] = take(node, bodies[i])
		}
		if failed[i] == nil {
			coverage.Objects++
		} else if first == nil || apierrors.IsForbidden(failed[i]) {
			first = failed[i]
		}
	}
	if first != nil && coverage.Objects == 0 {
		return first
	}
	if first != nil {
		coverage.Reason = fmt.Sprintf("%d of %d kubelets did not answer: %s", len(nodes)-coverage.Objects, len(nodes), oneLine(first))
	}
	return nil
}

// readServerHealth reads the API server's checks of itself. One that fails makes
// the whole answer a 500, whose body is what is wanted.
func readServerHealth(ctx context.Context, r *reader, coverage *Coverage) error {
	const largest = 1 << 20
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	url := r.client.Get().AbsPath("/readyz").Param("verbose", "").URL().String()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := r.client.Client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	body, err := io.ReadAll(&limitedReader{response.Body, largest})
	if err != nil {
		return err
	}
	if text := string(body); response.StatusCode != http.StatusOK && !strings.Contains(text, "[+]") && !strings.Contains(text, "[-]") {
		return apierrors.NewGenericServerResponse(response.StatusCode, "get", schema.GroupResource{}, "/readyz", text, 0, true)
	}
	coverage.Objects = r.snapshot.takeHealth(body)
	if coverage.Objects == 0 && string(body) != "ok" { // "ok" is told to who may not see more
		return errors.New("the answer is not the API server's: it names no check")
	}
	return nil
}

// takeHealth notes the failing checks and counts all.
func (s *Snapshot) takeHealth(body []byte) int {
	checks := 0
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		name, rest, _ := strings.Cut(strings.TrimLeft(line, "[+-]"), " ")
		switch {
		case strings.HasPrefix(line, "[+]"):
			checks++
		case strings.HasPrefix(line, "[-]"):
			checks++
			s.FailingChecks = append(s.FailingChecks, FailingCheck{Name: name, Reason: strings.TrimPrefix(rest, "failed: ")})
		}
	}
	return checks
}

// takeAnswer takes up an answer from a dump of a cluster, by its path.
func (s *Snapshot) takeAnswer(path, body string) error {
	node, below, _ := strings.Cut(strings.TrimPrefix(path, "/api/v1/nodes/"), "/proxy/")
	kind, err := Kind(""), error(nil)
	switch {
	case path == "/readyz":
		kind = ServerHealth
		s.takeHealth([]byte(body))
	case path == "/metrics":
		kind = ServerMetrics
		_, err = s.takeMetrics(strings.NewReader(body))
	case below == "stats/summary":
		kind, err = KubeletStats, s.takeStats(node, []byte(body))
	case below == "metrics":
		kind, err = KubeletTTLs, s.takeKubeletMetrics(node, []byte(body))
	case strings.HasPrefix(path, "/api/v1/namespaces/"):
		return s.takePrometheus(path, body)
	case below == "configz":
		kind, err = KubeletConfigs, s.takeConfig(node, []byte(body))
	default:
		return fmt.Errorf("no read asks for %q", path)
	}
	if err == nil {
		s.coverage[kind] = Coverage{Kind: kind, State: Read}
	}
	return err
}

// FailingCheck is one of the API server's checks of itself that fails.
type FailingCheck struct{ Name, Reason string }
