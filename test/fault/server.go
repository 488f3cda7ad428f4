package fault

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/util/cert"
)

// NewTLSProxy is a Proxy that is spoken to over TLS, whose certificate
// [Proxy.Renew] exchanges.
func NewTLSProxy(t *testing.T, kubeconfig string) *Proxy {
	t.Helper()
	p := newProxyTo(t, kubeconfig)
	first, authority := certificate(t)
	second, _ := certificate(t)
	p.server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if p.renewed.Load() {
			return &tls.Config{Certificates: []tls.Certificate{second}}, nil
		}
		return &tls.Config{Certificates: []tls.Certificate{first}}, nil
	}}
	p.server.StartTLS()
	p.write(t, authority)
	return p
}

// certificate is one for this machine, of an authority of its own.
func certificate(t *testing.T) (pair tls.Certificate, authority []byte) {
	t.Helper()
	chain, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if pair, err = tls.X509KeyPair(chain, key); err != nil {
		t.Fatal(err)
	}
	return pair, chain
}

// Renew exchanges the certificate for one of another authority, and ends all
// connections, as a server does that comes back with new ones.
func (p *Proxy) Renew() {
	p.renewed.Store(true)
	p.server.CloseClientConnections()
}

// Stop ends all connections and takes no more, until Start.
func (p *Proxy) Stop() {
	p.down.Store(true)
	p.server.CloseClientConnections()
}

// Start takes connections again.
func (p *Proxy) Start() { p.down.Store(false) }

// restartable is a listener that is deaf while it is down.
type restartable struct {
	net.Listener
	down *atomic.Bool
}

func (l *restartable) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || !l.down.Load() {
			return conn, err
		}
		_ = conn.Close()
	}
}

// Stale answers discovery as a server does that knows one API group no longer,
// or not yet, and another one still that it has ceased to serve.
func Stale(lacks, has, version, resource string) Fault {
	return edited(func(w http.ResponseWriter, _ *http.Request, body []byte) {
		var list map[string]any
		if json.Unmarshal(body, &list) != nil || list["items"] == nil {
			_, _ = w.Write(body)
			return
		}
		items := []any{map[string]any{
			"metadata": map[string]any{"name": has},
			"versions": []any{map[string]any{"version": version, "freshness": "Stale", "resources": []any{map[string]any{
				"resource": resource, "scope": "Namespaced", "verbs": []string{"list"}, "singularResource": resource,
				"responseKind": map[string]any{"group": has, "version": version, "kind": "Gone"},
			}}}},
		}}
		for _, item := range list["items"].([]any) {
			if group, _ := item.(map[string]any)["metadata"].(map[string]any); group["name"] != lacks {
				items = append(items, item)
			}
		}
		list["items"] = items
		_ = json.NewEncoder(w).Encode(list) // a client that went away is the test's own doing
	})
}
