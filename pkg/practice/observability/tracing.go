package observability

import (
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func tracingKinds() []cluster.Kind {
	return []cluster.Kind{cluster.Jaegers, cluster.TempoStacks, cluster.TempoMonoliths, cluster.Collectors}
}

// TracingMissing finds clusters in which a slow request cannot be followed.
//
// https://kubernetes.io/docs/concepts/cluster-administration/system-traces/
func TracingMissing() practice.Practice {
	return practice.Practice{
		ID:       "tracing-missing",
		Title:    "Nothing collects traces",
		Chapter:  practice.Observability,
		Severity: report.Info,
		Reason:   "Metrics say that requests are slow. In a cluster of many services, which of them makes them slow is what a trace says.",
		Judged:   "Whether a Jaeger, Tempo or OpenTelemetry collector resource exists, or a workload runs the image of Jaeger, Zipkin, Tempo, an OpenTelemetry collector or Alloy. Judged where at least 5 workloads of users are served.",
		Fix:      "run an OpenTelemetry collector, and send its traces to Tempo or Jaeger",
		Sources:  []string{"https://opentelemetry.io/docs/concepts/observability-primer/", "https://kubernetes.io/docs/concepts/cluster-administration/system-traces/"},
		LiveOnly: true, ClusterScope: true,
		Needs: append(tracingKinds(), cluster.Services),
		Uses:  cluster.WorkloadKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			served := 0
			for _, w := range s.Workloads() {
				if w.IsServed() && !w.IsPlatform() {
					served++
				}
			}
			if served < 5 {
				return v
			}
			v.Judged = append(v.Judged, practice.WholeCluster())
			for _, kind := range tracingKinds() {
				if len(s.System(kind)) > 0 {
					return v
				}
			}
			if !runs(s, "jaeger", "all-in-one", "jaeger-collector", "zipkin", "zipkin-slim", "tempo", "opentelemetry-collector", "opentelemetry-collector-contrib", "opentelemetry-collector-k8s", "alloy", "datadog-agent") {
				v.Findings = append(v.Findings, practice.On(practice.WholeCluster(), "", "%d workloads serve each other, and nothing collects traces", served))
			}
			return v
		},
	}
}

// TracingUnhealthy finds tracing that is installed and does not work.
//
// https://opentelemetry.io/docs/platforms/kubernetes/operator/
func TracingUnhealthy() practice.Practice {
	return practice.Practice{
		ID:       "tracing-unhealthy",
		Title:    "Tracing that is not ready",
		Chapter:  practice.Observability,
		Severity: report.Info,
		Reason:   "Programs send their traces and go on, whether anybody takes them or not. That none arrive is noticed when one is needed.",
		Judged:   "The operators' own word: a Jaeger's phase, the conditions of Tempo's resources, and the ready replicas of OpenTelemetry collectors. Others are judged as the workloads they are.",
		Fix:      "read the resource's own status",
		Sources:  []string{"https://opentelemetry.io/docs/platforms/kubernetes/operator/", "https://grafana.com/docs/tempo/latest/setup/operator/"},
		LiveOnly: true,
		Judges:   tracingKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			var v practice.Verdict
			for _, kind := range tracingKinds() {
				for _, object := range s.System(kind) {
					ref := cluster.RefTo(object)
					v.Judged = append(v.Judged, ref)
					if phase := text(object, "status", "phase"); phase != "" && phase != "Running" {
						v.Findings = append(v.Findings, practice.On(ref, "status.phase", "%s", phase))
					}
					if ready, wanted, found := strings.Cut(text(object, "status", "scale", "statusReplicas"), "/"); found && ready != wanted {
						v.Findings = append(v.Findings, practice.On(ref, "status.scale", "%s of %s pods are ready", ready, wanted))
					}
					for _, bad := range []string{"Failed", "Degraded"} {
						if c, found := cluster.ConditionOf(object.Object, bad); found && c.Status == "True" {
							v.Findings = append(v.Findings, practice.On(ref, "status.conditions", "%s (%s): %s", strings.ToLower(bad), c.Reason, c.Message))
						}
					}
				}
			}
			return v
		},
	}
}
