package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

const (
	pageSize = "500"
	// listsAtOnce is as many as doctor sends.
	listsAtOnce = 10
)

// request is one LIST, without its pages.
type request struct {
	Path   string `json:"path"`
	Query  string `json:"query"`  // field selectors; neither limit nor continue
	Accept string `json:"accept"` // the form: protobuf, metadata alone, JSON
}

// bareList is the floor that doctor is measured against: the same LISTs, every
// page decoded and dropped. It prints how many objects each gave, as JSON.
func bareList(ctx context.Context, kubeconfig, file string, out io.Writer) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the LISTs to send: %w", err)
	}
	var requests []request
	if err := json.Unmarshal(data, &requests); err != nil {
		return fmt.Errorf("reading the LISTs to send: %w", err)
	}
	lister, err := newLister(kubeconfig)
	if err != nil {
		return err
	}
	objects := make([]int, len(requests))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listsAtOnce)
	for i, r := range requests {
		group.Go(func() error {
			var err error
			objects[i], err = lister.list(ctx, r)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(objects)
}

type lister struct {
	host   string
	client *http.Client
	types  runtime.Decoder
}

func newLister(kubeconfig string) (*lister, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, metricsv1beta1.AddToScheme, metav1.AddMetaToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering types: %w", err)
		}
	}
	return &lister{host: config.Host, client: client, types: serializer.NewCodecFactory(scheme).UniversalDeserializer()}, nil
}

// errNotServed says that the API server does not serve a kind: it has none, at the
// cost of one request.
var errNotServed = errors.New("not served")

// list reads all pages of one LIST and counts their objects.
func (l *lister) list(ctx context.Context, r request) (objects int, err error) {
	query, err := url.ParseQuery(r.Query)
	if err != nil {
		return 0, fmt.Errorf("%s?%s: %w", r.Path, r.Query, err)
	}
	query.Set("limit", pageSize)
	for {
		page, err := l.page(ctx, r.Path+"?"+query.Encode(), r.Accept)
		if errors.Is(err, errNotServed) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", r.Path, err)
		}
		objects += meta.LenList(page)
		listMeta, err := meta.ListAccessor(page)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", r.Path, err)
		}
		if listMeta.GetContinue() == "" {
			return objects, nil
		}
		query.Set("continue", listMeta.GetContinue())
	}
}

func (l *lister) get(ctx context.Context, path, accept string) (*http.Response, error) {
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, l.host+path, nil)
	if err != nil {
		return nil, err
	}
	get.Header.Set("Accept", accept)
	return l.client.Do(get)
}

func (l *lister) page(ctx context.Context, path, accept string) (runtime.Object, error) {
	response, err := l.get(ctx, path, accept)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusNotFound {
		return nil, errNotServed
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, body[:min(len(body), 200)])
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), runtime.ContentTypeJSON) {
		list := &unstructured.UnstructuredList{}
		return list, list.UnmarshalJSON(body)
	}
	page, _, err := l.types.Decode(body, nil, nil)
	return page, err
}
