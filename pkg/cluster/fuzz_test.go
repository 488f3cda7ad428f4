package cluster

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzAnswers gives every parser of what kubelets, API servers, Prometheus and
// Secrets hold the same bytes: none may crash, and what is taken up can be told.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"node":{"fs":{"usedBytes":1,"capacityBytes":2}},"pods":[{"podRef":{"name":"a"},"volume":[{"pvcRef":{"name":"c"},"usedBytes":1}]}]}`,
		`{"kubeletconfig":{"authentication":{"anonymous":{"enabled":true}}}}`,
		"# TYPE apiserver_request_total counter\napiserver_request_total{verb=\"LIST\"} 1\n",
		"# TYPE apiserver_request_duration_seconds histogram\napiserver_request_duration_seconds_bucket{le=\"+Inf\"} NaN\n",
		`{"status":"success","data":{"groups":[{"rules":[{"name":"A","query":"up == 0","type":"alerting"}]}]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"node":"n"},"value":[1,"NaN"]}]}}`,
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"\x00\xff{", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := &Snapshot{}
		answer := &Prometheus{}
		// An error says that a probe failed; it is told as not checked.
		_ = s.takeStats("n", body)
		_ = s.takeConfig("n", body)
		_ = s.takeKubeletMetrics("n", body)
		_, _ = s.takeMetrics(bytes.NewReader(body))
		_ = answer.takeRules(body)
		for _, kind := range prometheusKinds() {
			for _, q := range questions(kind) {
				_, _ = answer.takeSamples(body, q.take)
			}
		}
		for _, certificate := range CertificatesIn("fuzz", body) {
			if _, err := json.Marshal(certificate); err != nil {
				t.Errorf("a certificate that cannot be told: %v", err)
			}
		}
	})
}
