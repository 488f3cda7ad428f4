package observability

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// fewRequests are too few for a 99th percentile to mean anything.
const fewRequests = 100

// APIServerLatencyHigh finds API servers that are slow or not well.
//
// Every controller, kubelet and pipeline waits for the API server: when it is
// slow everything is, and what times out is tried again.
// https://github.com/kubernetes/community/blob/master/sig-scalability/slos/api_call_latency.md
func APIServerLatencyHigh() practice.Practice {
	return practice.Practice{
		ID:       "apiserver-latency-high",
		Title:    "API server that is slow or not well",
		Chapter:  practice.Observability,
		Severity: report.Critical,
		Now:      true,
		Reason:   "Every controller, kubelet and pipeline waits for the API server. When it is slow everything is, and what times out is tried again, which makes it slower.",
		Judged: "The one API server that answered: the 99th percentile of its own latency histogram (apiserver_request_sli_duration_seconds, since it started, without webhooks and queues) " +
			"for each verb and resource with at least 100 requests: more than 1 s, or 30 s for a LIST of the whole cluster, which are Kubernetes' objectives. " +
			"Watches and connections are left out. Also each of its own checks (/readyz) that fails, and as a warning the requests that API Priority and Fairness has turned away.",
		Fix:          "look at etcd's disks, at webhooks and at who lists what: kubectl get --raw /metrics",
		Sources:      []string{"https://github.com/kubernetes/community/blob/master/sig-scalability/slos/api_call_latency.md", "https://kubernetes.io/docs/reference/using-api/health-checks/", "https://kubernetes.io/docs/concepts/cluster-administration/flow-control/"},
		LiveOnly:     true,
		ClusterScope: true,
		Judges:       []cluster.Kind{cluster.ServerMetrics, cluster.ServerHealth},
		Thresholds:   practice.Thresholds{{Name: "seconds", Value: 1, Meaning: "that one in a hundred requests may take; it is Kubernetes' own objective"}, {Name: "list-seconds", Value: 30, Meaning: "that a LIST over all namespaces may take"}},
		CheckBy: func(s *cluster.Snapshot, by practice.Thresholds) practice.Verdict {
			v := practice.Verdict{Judged: []cluster.Ref{practice.WholeCluster()}}
			for _, check := range s.FailingChecks {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the API server's check %s fails: %s", check.Name, check.Reason).
					Mended("kubectl get --raw '/readyz?verbose'; the server's log has the reason"))
			}
			if s.ServerMetrics == nil {
				return v
			}
			v.Findings = append(v.Findings, slow(s.ServerMetrics.Latencies, by)...)
			for _, level := range slices.Sorted(maps.Keys(s.ServerMetrics.Rejected)) {
				if n := s.ServerMetrics.Rejected[level]; n > 0 {
					v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "the API server has turned away %.0f requests of priority level %s since it started", n, level).As(report.Warning))
				}
			}
			return v
		},
	}
}

// slow is one finding for all that is slow, with the slowest named.
func slow(all []cluster.Latency, by practice.Thresholds) []practice.Finding {
	var beyond []cluster.Latency
	for _, l := range all {
		if l.Requests >= fewRequests && !lasts(l) && l.P99 > objective(l, by) {
			beyond = append(beyond, l)
		}
	}
	if len(beyond) == 0 {
		return nil
	}
	slices.SortStableFunc(beyond, func(a, b cluster.Latency) int {
		return cmp.Or(cmp.Compare(b.P99, a.P99), cmp.Compare(b.Requests, a.Requests), cmp.Compare(describe(a), describe(b)))
	})
	const worst = 3
	named := make([]string, 0, worst)
	for _, l := range beyond[:min(worst, len(beyond))] {
		named = append(named, describe(l))
	}
	text := strings.Join(named, ", ")
	if len(beyond) > worst {
		text += fmt.Sprintf(", and %d more", len(beyond)-worst)
	}
	return []practice.Finding{practice.On(practice.WholeCluster(), "", "one in a hundred requests takes longer than it should: %s", text)}
}

// lasts reports whether a request is meant to last.
func lasts(l cluster.Latency) bool {
	return slices.Contains([]string{"WATCH", "WATCHLIST", "CONNECT", "PROXY"}, l.Verb) || slices.Contains([]string{"proxy", "log", "exec", "attach", "portforward"}, l.Subresource)
}

func objective(l cluster.Latency, by practice.Thresholds) float64 {
	if l.Verb == "LIST" && l.Scope == "cluster" {
		return by.Of("list-seconds")
	}
	return by.Of("seconds")
}

func describe(l cluster.Latency) string {
	name := l.Resource
	if l.Group != "" {
		name += "." + l.Group
	}
	if l.Subresource != "" {
		name += "/" + l.Subresource
	}
	if math.IsInf(l.P99, 1) {
		return fmt.Sprintf("%s %s beyond the histogram's last bucket (of %.0f)", l.Verb, name, l.Requests)
	}
	return fmt.Sprintf("%s %s up to %g s (of %.0f)", l.Verb, name, l.P99, l.Requests)
}
