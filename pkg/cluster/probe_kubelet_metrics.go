package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// KubeletMetrics is what practices read of a kubelet's metrics.
type KubeletMetrics struct {
	// ServerTTL and ClientTTL are how many seconds its certificates still have;
	// infinite where the kubelet does not manage one, and so does not know.
	ServerTTL, ClientTTL float64
	// CgroupVersion is 1 or 2; 0 where the kubelet does not tell (before 1.31).
	CgroupVersion int
}

// readKubeletMetrics asks some kubelets of each kind of node.
func readKubeletMetrics(ctx context.Context, r *reader, coverage *Coverage) error {
	all := answering(r.snapshot.Nodes)
	asked := sample(r.snapshot.Nodes, configSample)
	err := r.eachNode(ctx, asked, "metrics", coverage, r.snapshot.takeKubeletMetrics)
	if err == nil && coverage.Reason == "" && len(asked) < len(all) {
		coverage.Reason = fmt.Sprintf("asked %d of %d kubelets, some of each kind of node", len(asked), len(all))
	}
	return err
}

func (s *Snapshot) takeKubeletMetrics(node string, body []byte) error {
	kept, err := keepFamilies(bytes.NewReader(body), "kubelet_certificate_manager_server_ttl_seconds", "kubelet_certificate_manager_client_ttl_seconds", "kubelet_cgroup_version", "kubelet_node_name")
	if err != nil {
		return err
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(kept)
	if err != nil {
		return err
	}
	if len(families) == 0 {
		return errors.New("the answer holds none of the metrics of a kubelet")
	}
	gauge := func(name string, otherwise float64) float64 {
		for _, metric := range families[name].GetMetric() {
			return metric.GetGauge().GetValue()
		}
		return otherwise
	}
	if s.KubeletMetrics == nil {
		s.KubeletMetrics = map[string]KubeletMetrics{}
	}
	s.KubeletMetrics[node] = KubeletMetrics{
		ServerTTL: gauge("kubelet_certificate_manager_server_ttl_seconds", math.Inf(1)), ClientTTL: gauge("kubelet_certificate_manager_client_ttl_seconds", math.Inf(1)),
		CgroupVersion: int(gauge("kubelet_cgroup_version", 0)),
	}
	return nil
}
