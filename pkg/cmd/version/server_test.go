package version

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	apiversion "k8s.io/apimachinery/pkg/version"
)

func TestAServerOutsideOfWhatIsTestedIsNoted(t *testing.T) {
	for server, want := range map[string]string{
		"v1.37.2":             "",
		"v1.34.4":             "",
		"v1.35.9-gke.1000":    "",
		"v1.33.12+k3s1":       "this version is made for Kubernetes 1.34 to 1.37; the server runs 1.33",
		"v1.38.0":             "this version is made for Kubernetes 1.34 to 1.37; the server runs 1.38",
		"v2.0.0":              "this version is made for Kubernetes 1.34 to 1.37; the server runs 2.0",
		"what the proxy says": "",
	} {
		if got := untested(&apiversion.Info{GitVersion: server}, "v0.37.2"); got != want {
			t.Errorf("%s: %q, want %q", server, got, want)
		}
	}
}

func TestTheOldestThatIsTestedIsThatOfTheTestCluster(t *testing.T) {
	lock := filepath.Join("..", "..", "..", "test", "cluster", "internal", "build", "locks", fmt.Sprintf("kubernetes-1.%d.mod", oldestTested))
	if _, err := os.Stat(lock); err != nil {
		t.Error(err)
	}
}
