// Package fault stands between a client and an API server and does to its
// requests what a test says: refuse, hang, trickle, cut, garble. It is for
// tests alone.
package fault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Proxy forwards requests to an API server, with the rights of the kubeconfig
// it was made from, but for those that a Rule spoils. It forwards upgrades
// (port-forward, exec) as well.
type Proxy struct {
	Kubeconfig string // leads to the proxy

	server  *httptest.Server
	forward *httputil.ReverseProxy
	closing chan struct{} // closed when the test ends: lets go of what hangs
	down    atomic.Bool
	renewed atomic.Bool

	mu       sync.Mutex
	rules    []*Rule
	requests []Request
}

// Request is one that passed through.
type Request struct {
	Method string
	URL    *url.URL
	Accept string
}

// Rule spoils the requests that it matches.
type Rule struct {
	// Match picks the requests; nil picks all.
	Match func(*http.Request) bool
	// Skip lets so many matching requests pass first.
	Skip int
	// Times is how many are spoilt; 0 is all.
	Times int
	Fault Fault

	matched int
}

// Fault answers a request in place of the server, or spoils its answer; pass
// asks the server.
type Fault func(w http.ResponseWriter, r *http.Request, pass http.Handler)

// NewProxy starts a proxy for the length of a test, to the server that a
// kubeconfig's current context names.
func NewProxy(t *testing.T, kubeconfig string) *Proxy {
	t.Helper()
	p := newProxyTo(t, kubeconfig)
	p.server.Start()
	p.write(t, nil)
	return p
}

func newProxyTo(t *testing.T, kubeconfig string) *Proxy {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"),
		closing:    make(chan struct{}),
		forward: &httputil.ReverseProxy{
			Transport:     transport,
			FlushInterval: -1, // watches and logs flow at once
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
			ErrorLog:      log.New(io.Discard, "", 0), // the tests break it on purpose
		},
	}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.Listener = &restartable{p.server.Listener, &p.down}
	t.Cleanup(func() { close(p.closing); p.server.Close() })
	return p
}

// write writes the kubeconfig that leads to the proxy, which trusts authority
// where that is given.
func (p *Proxy) write(t *testing.T, authority []byte) {
	t.Helper()
	trust := ""
	if authority != nil {
		trust = ", certificate-authority-data: " + base64.StdEncoding.EncodeToString(authority)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: faulty
clusters: [{name: faulty, cluster: {server: %q%s}}]
contexts: [{name: faulty, context: {cluster: faulty, user: ""}}]
`, p.server.URL, trust)
	if err := os.WriteFile(p.Kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Spoil replaces the rules; the first that matches a request has it.
func (p *Proxy) Spoil(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
	for _, rule := range rules {
		p.rules = append(p.rules, &rule)
	}
}

// Requests are those since the last call, in order.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.requests
	p.requests = nil
	return all
}

// ServeHTTP passes a request on, or spoils it.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rule := p.note(r); rule != nil {
		rule.Fault(w, p.untilClosed(r), p.forward)
		return
	}
	p.forward.ServeHTTP(w, r)
}

// untilClosed is a request whose context ends with the test, too.
func (p *Proxy) untilClosed(r *http.Request) *http.Request {
	ctx, cancel := context.WithCancel(r.Context())
	go func() {
		defer cancel()
		select {
		case <-ctx.Done():
		case <-p.closing:
		}
	}()
	return r.WithContext(ctx)
}

// note records a request and picks its rule.
func (p *Proxy) note(r *http.Request) *Rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := *r.URL
	p.requests = append(p.requests, Request{Method: r.Method, URL: &seen, Accept: r.Header.Get("Accept")})
	for _, rule := range p.rules {
		if rule.Match != nil && !rule.Match(r) {
			continue
		}
		rule.matched++
		spoilt := rule.matched - rule.Skip
		if spoilt > 0 && (rule.Times == 0 || spoilt <= rule.Times) {
			return rule
		}
		return nil
	}
	return nil
}

// Path matches requests for exactly this path.
func Path(path string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.URL.Path == path }
}

// Status answers with a code and a body as the API server writes it; with
// retryAfter above 0 it asks to be asked again after so many seconds.
func Status(code int, reason metav1.StatusReason, retryAfter int) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		}
		writeStatus(w, metav1.Status{Code: int32(code), Reason: reason, Message: fmt.Sprintf("%s, said the test, of %s", reason, r.URL.Path)})
	}
}

func writeStatus(w http.ResponseWriter, status metav1.Status) {
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	status.Status = metav1.StatusFailure
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(status.Code))
	_ = json.NewEncoder(w).Encode(status) // a client that went away is the test's own doing
}

// Hang answers nothing until the client gives up, or the test ends.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }
}

// Drop closes the connection without a word, as a server that goes down does.
func Drop() Fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// Cut closes the connection after so many bytes of the answer's body.
func Cut(after int) Fault {
	return edited(func(w http.ResponseWriter, _ *http.Request, body []byte) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1)) // more is promised than comes
		_, _ = w.Write(body[:min(after, len(body))])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
}

// Trickle sends the answer's body in single bytes with pauses between them.
func Trickle(pause time.Duration) Fault {
	return edited(func(w http.ResponseWriter, r *http.Request, body []byte) {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for i := range body {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
			_, _ = w.Write(body[i : i+1])
			_ = http.NewResponseController(w).Flush()
		}
	})
}

// Garble answers with the right type and a body that is none.
func Garble() Fault {
	return edited(func(w http.ResponseWriter, _ *http.Request, body []byte) {
		spoilt := bytes.Repeat([]byte{0xff, 0x00, 0x1b, '{'}, 1+len(body)/4)
		copy(spoilt, "k8s\x00") // the protobuf envelope's magic number is right
		_, _ = w.Write(spoilt)
	})
}

// WebPage answers every request as a captive portal does: 200, with HTML.
func WebPage() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body>Please log in</body></html>")
	}
}

// Lose has the server do what was asked, and has its answer go this way.
func Lose(answer Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		pass.ServeHTTP(httptest.NewRecorder(), r)
		answer(w, r, pass)
	}
}

// Pages makes the server's pages this small, so that a few objects take many.
func Pages(limit int) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		query := r.URL.Query()
		query.Set("limit", strconv.Itoa(limit))
		r.URL.RawQuery = query.Encode()
		pass.ServeHTTP(w, r)
	}
}

// Expire answers the next page as the API server does when etcd has compacted
// the LIST's revision away: 410, with a token that goes on from the same key
// at the present revision (kubernetes: apiserver/pkg/storage/etcd3,
// handleCompactedErrorForPaging).
func Expire() Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		status := metav1.Status{Code: http.StatusGone, Reason: metav1.StatusReasonExpired, Message: "The provided continue parameter is too old"}
		status.Continue = fresh(r.URL.Query().Get("continue"))
		writeStatus(w, status)
	}
}

// fresh is a continue token for the present revision: its rv is -1.
func fresh(token string) string {
	text, err := base64.RawURLEncoding.DecodeString(token)
	fields := map[string]any{}
	if err != nil || json.Unmarshal(text, &fields) != nil {
		return token
	}
	fields["rv"] = -1
	text, err = json.Marshal(fields)
	if err != nil {
		return token
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// Clock sets the server's clock off by so much.
func Clock(off time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		pass.ServeHTTP(&redated{w, off}, r)
	}
}

type redated struct {
	http.ResponseWriter
	off time.Duration
}

func (w *redated) WriteHeader(code int) {
	w.Header().Set("Date", time.Now().Add(w.off).UTC().Format(http.TimeFormat))
	w.ResponseWriter.WriteHeader(code)
}

func (w *redated) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// edited asks the server and hands the whole answer to write.
func edited(write func(w http.ResponseWriter, r *http.Request, body []byte)) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		r.Header.Del("Accept-Encoding")
		answer := httptest.NewRecorder()
		pass.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		write(w, r, answer.Body.Bytes())
	}
}
