package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// traffic counts what goes through a proxy to an API server.
type traffic struct {
	mu     sync.Mutex
	lists  []*listed // in the order of their first requests
	others []string  // paths of all that is not a LIST: version, discovery
	bytes  int64     // of all answers, before compression
	// watches are requests that would stay open.
	watches int
}

// listed is one LIST: how often it was started, its pages and their bytes
// before compression.
type listed struct {
	request
	starts, pages int
	bytes         int64
}

// proxy serves the API server of a kubeconfig over plain HTTP on this machine,
// and writes a kubeconfig for that into dir.
func (t *traffic) proxy(kubeconfig, dir string) (server *httptest.Server, proxied string, err error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", kubeconfig, err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, "", fmt.Errorf("connecting: %w", err)
	}
	server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("Accept-Encoding", "identity") // to count plain bytes
		},
		Transport:      transport,
		ModifyResponse: t.note,
	})
	proxied = filepath.Join(dir, "proxied.kubeconfig")
	if err := os.WriteFile(proxied, nil, 0o600); err != nil {
		return server, "", fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return server, proxied, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"proxied": {Server: server.URL}},
		Contexts:       map[string]*clientcmdapi.Context{"proxied": {Cluster: "proxied"}},
		CurrentContext: "proxied",
	}, proxied)
}

// note counts one answer, and its bytes as they pass.
func (t *traffic) note(response *http.Response) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	asked := response.Request
	if asked.Method != http.MethodGet || !isList(asked.URL.Path) {
		t.others = append(t.others, asked.URL.Path)
		response.Body = t.counted(response.Body, new(int64))
		return nil
	}
	query := asked.URL.Query()
	if query.Has("watch") {
		t.watches++
	}
	continued := query.Has("continue")
	for _, perRequest := range []string{"limit", "continue", "timeout"} {
		query.Del(perRequest)
	}
	r := request{Path: asked.URL.Path, Query: query.Encode(), Accept: asked.Header.Get("Accept")}
	i := slices.IndexFunc(t.lists, func(l *listed) bool { return l.request == r })
	if i < 0 {
		i = len(t.lists)
		t.lists = append(t.lists, &listed{request: r})
	}
	list := t.lists[i]
	list.pages++
	if !continued {
		list.starts++
	}
	response.Body = t.counted(response.Body, &list.bytes)
	return nil
}

// counted counts a body's bytes as they pass.
func (t *traffic) counted(body io.ReadCloser, bytes *int64) io.ReadCloser {
	return &countingBody{ReadCloser: body, add: func(n int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		*bytes += int64(n)
		t.bytes += int64(n)
	}}
}

// isList reports whether a GET of the path is a LIST: of a collection, over
// all namespaces.
func isList(path string) bool {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	return segments[0] == "api" && len(segments) == 3 || segments[0] == "apis" && len(segments) == 4
}

// requests are the LISTs, for the bare side to send too.
func (t *traffic) requests() []request {
	var all []request
	for _, l := range t.lists {
		all = append(all, l.request)
	}
	return all
}

// twice names what was listed more than once: a LIST that was started again,
// or one collection listed in two forms with the same selector.
func (t *traffic) twice() []string {
	starts := map[string]int{}
	for _, l := range t.lists {
		starts[l.Path+"?"+l.Query] += l.starts
	}
	var names []string
	for name, n := range starts {
		if n != 1 {
			names = append(names, fmt.Sprintf("%s (%d times)", strings.TrimSuffix(name, "?"), n))
		}
	}
	slices.Sort(names)
	return names
}

// name is the LIST as a table shows it: "deployments.apps",
// "secrets (type=kubernetes.io/tls)", "configmaps, metadata".
func (l *listed) name() string {
	segments := strings.Split(strings.Trim(l.Path, "/"), "/")
	name := segments[len(segments)-1]
	if segments[0] == "apis" {
		name += "." + segments[1]
	}
	if query, err := url.QueryUnescape(l.Query); err == nil && query != "" {
		name += " (" + strings.TrimPrefix(query, "fieldSelector=") + ")"
	}
	if strings.Contains(l.Accept, "as=PartialObjectMetadataList") {
		name += ", metadata"
	}
	return name
}

type countingBody struct {
	io.ReadCloser
	add func(int)
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.add(n)
	return n, err
}
