package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// APIServerMetrics is what practices read of the API server's metrics.
type APIServerMetrics struct {
	Latencies []Latency
	// DeprecatedAPIs are those that somebody asked this server for.
	DeprecatedAPIs []DeprecatedAPI
	// StorageBytes is the size of each etcd database by its endpoint.
	StorageBytes map[string]float64
	// ClientCertificates counts the requests authenticated by certificates with
	// less than a week left, and all that were.
	ClientCertificatesEnding, ClientCertificates float64
	// Rejected counts the requests that API Priority and Fairness turned away,
	// by priority level.
	Rejected map[string]float64
}

// Latency is how long the server took for one kind of request, without
// webhooks and queues, since it started.
type Latency struct {
	Verb, Group, Resource, Subresource, Scope string
	Requests                                  float64
	// P99 is the upper bound of the bucket that holds the 99th percentile, in
	// seconds; infinite when it is beyond the last.
	P99 float64
}

// DeprecatedAPI is a deprecated version that somebody asked for.
type DeprecatedAPI struct{ Group, Version, Resource, Subresource, Removed string }

const (
	// largestMetrics bounds what is read of /metrics, of which a busy server
	// has some tens of megabytes; largestKept what is parsed of it.
	largestMetrics = 256 << 20
	largestKept    = 32 << 20
)

// readServerMetrics reads /metrics line by line and parses the few families
// that matter, so that the rest costs nothing but its bytes.
func readServerMetrics(ctx context.Context, r *reader, coverage *Coverage) error {
	body, err := r.open(ctx, largestMetrics, r.path("/metrics"))
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // it was only read
	coverage.Objects, err = r.snapshot.takeMetrics(body)
	return err
}

// takeMetrics parses metrics and tells how many of the wanted families it found.
func (s *Snapshot) takeMetrics(body io.Reader) (int, error) {
	kept, err := keepFamilies(body, wanted()...)
	if err != nil {
		return 0, err
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(kept)
	if err != nil {
		return 0, err
	}
	if len(families) == 0 {
		return 0, errors.New("the answer holds none of the metrics of an API server")
	}
	s.ServerMetrics = metricsOf(families)
	return len(families), nil
}

// wanted are the families that are parsed.
func wanted() []string {
	return []string{
		"apiserver_request_sli_duration_seconds", "apiserver_requested_deprecated_apis", "apiserver_storage_size_bytes", "apiserver_storage_db_total_size_in_bytes",
		"apiserver_client_certificate_expiration_seconds", "apiserver_flowcontrol_rejected_requests_total",
	}
}

// keepFamilies keeps the lines of the metrics whose names begin with one of these.
func keepFamilies(from io.Reader, names ...string) (io.Reader, error) {
	var kept bytes.Buffer
	lines := bufio.NewReaderSize(from, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, errTooLarge // no metric has a line of 64 KiB
		}
		text := bytes.TrimPrefix(bytes.TrimPrefix(line, []byte("# HELP ")), []byte("# TYPE "))
		if slices.ContainsFunc(names, func(name string) bool { return bytes.HasPrefix(text, []byte(name)) }) {
			kept.Write(line)
		}
		if kept.Len() > largestKept {
			return nil, errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return &kept, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func metricsOf(families map[string]*dto.MetricFamily) *APIServerMetrics {
	m := &APIServerMetrics{StorageBytes: map[string]float64{}, Rejected: map[string]float64{}}
	for _, metric := range families["apiserver_request_sli_duration_seconds"].GetMetric() {
		if h := metric.GetHistogram(); h.GetSampleCount() > 0 {
			m.Latencies = append(m.Latencies, Latency{
				Verb: label(metric, "verb"), Group: label(metric, "group"), Resource: label(metric, "resource"), Subresource: label(metric, "subresource"), Scope: label(metric, "scope"),
				Requests: float64(h.GetSampleCount()), P99: quantile(h, 0.99),
			})
		}
	}
	for _, metric := range families["apiserver_requested_deprecated_apis"].GetMetric() {
		if metric.GetGauge().GetValue() > 0 {
			m.DeprecatedAPIs = append(m.DeprecatedAPIs, DeprecatedAPI{label(metric, "group"), label(metric, "version"), label(metric, "resource"), label(metric, "subresource"), label(metric, "removed_release")})
		}
	}
	slices.SortFunc(m.DeprecatedAPIs, func(a, b DeprecatedAPI) int {
		return strings.Compare(a.Group+a.Version+a.Resource+a.Subresource, b.Group+b.Version+b.Resource+b.Subresource)
	})
	for _, family := range []string{"apiserver_storage_size_bytes", "apiserver_storage_db_total_size_in_bytes"} {
		for _, metric := range families[family].GetMetric() {
			m.StorageBytes[label(metric, "storage_cluster_id")+label(metric, "endpoint")] = metric.GetGauge().GetValue()
		}
	}
	for _, metric := range families["apiserver_client_certificate_expiration_seconds"].GetMetric() {
		h := metric.GetHistogram()
		m.ClientCertificates += float64(h.GetSampleCount())
		m.ClientCertificatesEnding += below(h, 7*24*3600)
	}
	for _, metric := range families["apiserver_flowcontrol_rejected_requests_total"].GetMetric() {
		m.Rejected[label(metric, "priority_level")] += metric.GetCounter().GetValue()
	}
	return m
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// quantile is the upper bound of the bucket in which a quantile lies.
func quantile(h *dto.Histogram, q float64) float64 {
	rank := q * float64(h.GetSampleCount())
	for _, bucket := range h.GetBucket() {
		if float64(bucket.GetCumulativeCount()) >= rank {
			return bucket.GetUpperBound()
		}
	}
	return math.Inf(1)
}

// below counts the samples of at most a bound that is one of the buckets'.
func below(h *dto.Histogram, bound float64) float64 {
	for _, bucket := range h.GetBucket() {
		if bucket.GetUpperBound() >= bound {
			return float64(bucket.GetCumulativeCount())
		}
	}
	return 0
}
