package resources

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// use is what is known of a container's use of a resource.
type use struct {
	peak    float64       // of the fullest pod: cores, or bytes
	now     float64       // of that, by the last samples; 0 without one
	pods    int           // that have a sample
	history time.Duration // that the peak is of; 0 is one sample
}

// usedBy is what a container's pods use: by Prometheus over the last week, and
// by the resource metrics API now; false where neither has a figure, the latter
// of a pod that has run for a while.
func usedBy(s *cluster.Snapshot, c cluster.Container, name corev1.ResourceName) (use, bool) {
	var known use
	for _, samples := range sampled(s, c.Workload, warmUp) {
		if samples.name != c.Name {
			continue
		}
		known.pods = len(samples.samples)
		for _, one := range samples.samples {
			known.now = max(known.now, one.used.Of(name))
		}
	}
	known.peak = known.now
	past, ok := pastUse(s, c.Workload, c.Name, name)
	switch {
	case !ok:
	case past.history >= enoughHistory && name == corev1.ResourceCPU:
		// One sample of CPU may be a burst, which a percentile leaves out.
		known.peak, known.history = past.peak, past.history
	default:
		known.peak, known.history = max(known.now, past.peak), past.history
	}
	return known, ok || known.pods > 0
}

// pastUse is what a Prometheus knows of a container's use of a resource.
func pastUse(s *cluster.Snapshot, w *cluster.Workload, container string, name corev1.ResourceName) (use, bool) {
	past, ok := s.PastUseOf(w, container)
	if name == corev1.ResourceCPU {
		return use{peak: past.CPU, history: past.Known}, ok && past.HasCPU
	}
	return use{peak: past.Memory, history: past.Known}, ok && past.Memory > 0
}

// forRequest and forLimit are what to add to what is used.
func (u use) forRequest() float64 { return u.margin(weekRequestMargin, requestMargin) }
func (u use) forLimit() float64   { return u.margin(weekLimitMargin, limitMargin) }

func (u use) margin(week, less float64) float64 {
	if u.history >= enoughHistory {
		return week
	}
	return less
}

// words say where a figure comes from.
func (u use) words(name corev1.ResourceName) string {
	switch {
	case u.history > 0:
		return fmt.Sprintf("uses %s, %s", amount(name, u.peak), u.source(name))
	case u.pods > 1:
		return fmt.Sprintf("uses %s by one sample now, in the fullest of %d pods", amount(name, u.peak), u.pods)
	}
	return fmt.Sprintf("uses %s by one sample now of 1 pod", amount(name, u.peak))
}

// source says of which figure of a history a use is.
func (u use) source(name corev1.ResourceName) string {
	if name == corev1.ResourceCPU {
		return fmt.Sprintf("the 95th percentile of its fullest pod over %s in Prometheus", span(u.history))
	}
	return fmt.Sprintf("the peak of its fullest pod over %s in Prometheus", span(u.history))
}

// unknownUse says why nothing is known of a container's use.
func unknownUse(s *cluster.Snapshot) string {
	switch {
	case !s.Origin.Live:
		return "manifests do not show what it uses: run harden against the cluster where it runs, or measure it"
	case !s.WasRead(cluster.PodMetrics):
		return "what it uses is not known: " + whyNoMetrics(s)
	default:
		return fmt.Sprintf("what it uses is not known: no pod of it has run for %s and has a sample in the metrics API", span(warmUp))
	}
}

func whyNoMetrics(s *cluster.Snapshot) string {
	if c := s.Coverage(cluster.PodMetrics); c.Reason != "" {
		return "the resource metrics API: " + c.Reason
	}
	return "the cluster has no resource metrics API"
}

// noHistory says why a Prometheus told nothing.
func noHistory(s *cluster.Snapshot) string {
	switch at := s.Coverage(cluster.PrometheusUsage); {
	case s.Prometheus != nil && at.State == cluster.Read:
		return "the Prometheus of the cluster (" + s.Prometheus.Service + ") has no figures of it (container_memory_working_set_bytes, container_cpu_usage_seconds_total)"
	case at.Reason != "":
		return "what it used before could not be asked: " + at.Reason
	default:
		return "no Prometheus is seen that could tell what it used before"
	}
}

func shownBy(known use) string {
	if known.history > 0 {
		return span(known.history) + " of history"
	}
	return "one sample"
}

// times is a margin as a person writes it: 2, 1.5, 1.15.
func times(margin float64) string { return strconv.FormatFloat(margin, 'f', -1, 64) }
