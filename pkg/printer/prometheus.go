package printer

import (
	"io"
	"maps"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// prometheus writes the result as metrics in the text format, for node
// exporter's textfile collector or a Pushgateway. A practice that was not
// checked has no count of findings, since 0 would say that all is well.
func (o Options) prometheus(w io.Writer, d *report.Diagnosis) error {
	for _, family := range []*dto.MetricFamily{
		gauge("kubectl_prod_doctor_info", "What was diagnosed; always 1.", info(d)),
		gauge("kubectl_prod_doctor_timestamp_seconds", "When the diagnosis was made, in seconds since 1970.", sample(float64(d.Time.Unix()))),
		gauge("kubectl_prod_doctor_overall_score", "The score over all chapters, 0 to 100.", overall(d)...),
		gauge("kubectl_prod_doctor_score", "The score of a chapter, 0 to 100; absent where nothing was judged.", chapterScores(d)...),
		gauge("kubectl_prod_doctor_findings", "Findings of a practice, the platform's aside.", findingCounts(d)...),
		gauge("kubectl_prod_doctor_objects_judged", "Objects that a practice judged.", objectCounts(d, func(p report.PracticeResult) int { return p.Judged })...),
		gauge("kubectl_prod_doctor_objects_failed", "Objects with a finding of a practice.", objectCounts(d, func(p report.PracticeResult) int { return p.Failed })...),
		gauge("kubectl_prod_doctor_baseline_findings", "Findings that the baseline knows, and those of it that are mended; kubectl_prod_doctor_findings has the new ones.", baselineCounts(d)...),
		gauge("kubectl_prod_doctor_changes", "Objects that were changed in the last hour; with --now.", changeCount(d)...),
		gauge("kubectl_prod_doctor_warning_events", "Warning events of the last hour, by reason; with --now.", eventCounts(d)...),
		gauge("kubectl_prod_doctor_not_checked", "1 where a practice could not be checked.", uncheckedSamples(d)...),
	} {
		if len(family.GetMetric()) == 0 {
			continue // a family without samples is no valid exposition
		}
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
	}
	return nil
}

func gauge(name, help string, metrics ...*dto.Metric) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum(), Metric: metrics}
}

// sample is a value with labels, given as names and values in turn.
func sample(value float64, labels ...string) *dto.Metric {
	metric := &dto.Metric{Gauge: &dto.Gauge{Value: &value}}
	for i := 0; i+1 < len(labels); i += 2 {
		name, text := labels[i], escape(labels[i+1])
		metric.Label = append(metric.Label, &dto.LabelPair{Name: &name, Value: &text})
	}
	return metric
}

func info(d *report.Diagnosis) *dto.Metric {
	return sample(1, "context", d.Origin.Context, "namespace", d.Origin.Namespace, "server", d.Origin.Server, "version", d.Origin.Version)
}

func overall(d *report.Diagnosis) []*dto.Metric {
	if d.Score.Percent == nil {
		return nil
	}
	return []*dto.Metric{sample(float64(*d.Score.Percent))}
}

func chapterScores(d *report.Diagnosis) []*dto.Metric {
	var all []*dto.Metric
	for _, c := range d.Chapters {
		if c.Percent != nil {
			all = append(all, sample(float64(*c.Percent), "chapter", c.Chapter))
		}
	}
	return all
}

// findingCounts has a sample for every checked practice, 0 where it found
// nothing, so that an alert resolves instead of going stale.
func findingCounts(d *report.Diagnosis) []*dto.Metric {
	counts := map[string]map[report.Severity]int{}
	for _, f := range usersFindings(d) {
		if counts[f.Practice] == nil {
			counts[f.Practice] = map[report.Severity]int{}
		}
		counts[f.Practice][f.Severity]++
	}
	var all []*dto.Metric
	knownOnes := knownBy(d)
	for _, p := range d.Practices {
		hidden := p.Failed > 0 && len(counts[p.ID]) == 0 && knownOnes[p.ID] == 0 // by --severity
		if !p.Checked || hidden {
			continue
		}
		for _, severity := range report.Severities() {
			if n := counts[p.ID][severity]; n > 0 || severity == p.Severity {
				all = append(all, sample(float64(n), "practice", p.ID, "chapter", p.Chapter, "severity", string(severity)))
			}
		}
	}
	return all
}

func baselineCounts(d *report.Diagnosis) []*dto.Metric {
	if len(d.Known)+len(d.Mended) == 0 {
		return nil
	}
	return []*dto.Metric{sample(float64(len(d.Known)), "state", string(known)), sample(float64(len(d.Mended)), "state", string(mended))}
}

func changeCount(d *report.Diagnosis) []*dto.Metric {
	if len(d.Changes) == 0 {
		return nil
	}
	return []*dto.Metric{sample(float64(len(d.Changes)))}
}

func eventCounts(d *report.Diagnosis) []*dto.Metric {
	counts := map[string]int{}
	for _, e := range d.Events {
		counts[escape(e.Reason)] += e.Count // escaped here: two samples must not have the same labels
	}
	var all []*dto.Metric
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, sample(float64(counts[reason]), "reason", reason))
	}
	return all
}

func objectCounts(d *report.Diagnosis, count func(report.PracticeResult) int) []*dto.Metric {
	var all []*dto.Metric
	for _, p := range d.Practices {
		if p.Checked {
			all = append(all, sample(float64(count(p)), "practice", p.ID, "chapter", p.Chapter))
		}
	}
	return all
}

func uncheckedSamples(d *report.Diagnosis) []*dto.Metric {
	var all []*dto.Metric
	for _, p := range d.Practices {
		value := 0.0
		if !p.Checked {
			value = 1
		}
		all = append(all, sample(value, "practice", p.ID, "chapter", p.Chapter))
	}
	return all
}
