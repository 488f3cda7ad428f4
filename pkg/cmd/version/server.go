package version

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
)

// oldestTested is the oldest minor of Kubernetes 1 that the tests can run against,
// three behind the libraries'.
const oldestTested = 34

// ask is what the API server says of itself.
func ask(ctx context.Context, connected *connection.Flags) (*apiversion.Info, error) {
	config, err := connected.Connect()
	if err != nil {
		return nil, err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	info, err := client.ServerVersionWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its version: %w", config.Host, err)
	}
	return info, nil
}

// untested says that a server is older or newer than those of the tests; "" for
// all others. Newer ones work as far as the libraries' own skew policy goes:
// https://kubernetes.io/releases/version-skew-policy/#kubectl
func untested(server *apiversion.Info, libraries string) string {
	running, err := version.ParseGeneric(server.GitVersion)
	if err != nil {
		return ""
	}
	newest, err := version.ParseGeneric(libraries)
	if err != nil {
		return ""
	}
	// The libraries' v0.37.2 are those of Kubernetes 1.37.
	if minor := running.Minor(); running.Major() == 1 && minor >= oldestTested && minor <= newest.Minor() {
		return ""
	}
	return fmt.Sprintf("this version is made for Kubernetes 1.%d to 1.%d; the server runs %d.%d", oldestTested, newest.Minor(), running.Major(), running.Minor())
}
