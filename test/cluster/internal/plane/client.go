package plane

import (
	"crypto/tls"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/pki"
	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/state"
)

// clients speak to the API server as the administrator.
type clients struct {
	typed   kubernetes.Interface
	dynamic dynamic.Interface
}

func newClients(dir state.Dir) (clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", dir.Kubeconfig())
	if err != nil {
		return clients{}, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS = -1 // fleets are made of thousands of objects
	compact := rest.CopyConfig(config)
	compact.ContentType = runtime.ContentTypeProtobuf
	typed, err := kubernetes.NewForConfig(compact)
	if err != nil {
		return clients{}, fmt.Errorf("making a client: %w", err)
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return clients{}, fmt.Errorf("making a client: %w", err)
	}
	return clients{typed: typed, dynamic: untyped}, nil
}

// healthClient asks components for their health; it trusts the cluster's
// authority alone.
func healthClient(dir pki.Dir) (*http.Client, error) {
	roots, err := certutil.NewPool(dir.Cert(string(pki.ClusterCA)))
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's authority: %w", err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	return &http.Client{Transport: transport, Timeout: healthTimeout}, nil
}
