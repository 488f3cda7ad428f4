package printer

import (
	"iter"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// baseline is how a finding stands to an earlier diagnosis.
type baseline string

const (
	unbased baseline = "" // there is no earlier one
	fresh   baseline = "new"
	known   baseline = "known"
	mended  baseline = "mended"
)

// baselined are a diagnosis's findings, and after them those that a baseline
// knows and those that it knew.
func baselined(d *report.Diagnosis) iter.Seq2[report.Finding, baseline] {
	return func(yield func(report.Finding, baseline) bool) {
		state := unbased
		if len(d.Known)+len(d.Mended) > 0 {
			state = fresh
		}
		for _, some := range []struct {
			findings []report.Finding
			state    baseline
		}{{d.Findings, state}, {d.Known, known}, {d.Mended, mended}} {
			for _, f := range some.findings {
				if !yield(f, some.state) {
					return
				}
			}
		}
	}
}

// knownBy counts, by practice, the user's findings that a baseline knows.
func knownBy(d *report.Diagnosis) map[string]int {
	counts := map[string]int{}
	for _, f := range d.Known {
		if !f.Platform {
			counts[f.Practice]++
		}
	}
	return counts
}
