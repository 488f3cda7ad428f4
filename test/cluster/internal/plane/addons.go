package plane

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-prod/kubectl-prod/test/cluster/internal/machine"
)

// volumesPerZone is enough for a test's StatefulSets.
const volumesPerZone = 4

// applyAddOns comes before the controllers: metrics-server needs its roles when
// it starts. Objects that a snapshot brought back are brought up to date, since
// they name ports and paths.
func (c *cluster) applyAddOns(ctx context.Context) error {
	if err := c.applyMetrics(ctx); err != nil {
		return err
	}
	if err := c.applyStorage(ctx); err != nil {
		return err
	}
	if !c.settings.Node {
		return nil // simulated pods resolve no names
	}
	return c.applyDNS(ctx)
}

func (c *cluster) applyDNS(ctx context.Context) error {
	manifests, err := render("coredns.yaml", map[string]any{
		"Domain": clusterDomain,
		"IP":     clusterDNSIP,
		"Image":  machine.DNSImage,
		"Node":   machine.NodeName,
	})
	if err != nil {
		return err
	}
	return apply(ctx, c.clients.dynamic, manifests)
}

func (c *cluster) applyMetrics(ctx context.Context) error {
	ca, err := os.ReadFile(c.dir.PKI().Cert("ca"))
	if err != nil {
		return fmt.Errorf("reading the cluster's authority: %w", err)
	}
	manifests, err := render("metrics-server.yaml", map[string]any{
		"Port":     c.settings.Ports[portMetricsServer],
		"CABundle": base64.StdEncoding.EncodeToString(ca),
	})
	if err != nil {
		return err
	}
	return apply(ctx, c.clients.dynamic, manifests)
}

// forgetMetrics unregisters metrics-server where it does not run: an API that
// does not answer is not what was saved.
func (c *cluster) forgetMetrics(ctx context.Context) error {
	services := c.clients.dynamic.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"})
	err := services.Delete(ctx, "v1beta1.metrics.k8s.io", metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("unregistering metrics-server: %w", err)
	}
	return nil
}

type volume struct{ Name, Zone, Path string }

func (c *cluster) applyStorage(ctx context.Context) error {
	var volumes []volume
	for _, zone := range []string{"a", "b", "c"} {
		for i := range volumesPerZone {
			name := fmt.Sprintf("volume-%s%d", zone, i+1)
			volumes = append(volumes, volume{Name: name, Zone: region + zone, Path: filepath.Join(machine.VolumesDir, name)})
		}
	}
	manifests, err := render("storage.yaml", map[string]any{"Volumes": volumes})
	if err != nil {
		return err
	}
	return apply(ctx, c.clients.dynamic, manifests)
}
