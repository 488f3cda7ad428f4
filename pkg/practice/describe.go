package practice

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Describe is the report of a catalogue of practices.
func Describe(practices []Practice) *report.Catalogue {
	c := &report.Catalogue{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "Catalogue"},
		Items:    []report.Practice{},
	}
	for _, p := range practices {
		var reads []string
		for _, kind := range p.kinds() {
			reads = append(reads, string(kind))
		}
		slices.Sort(reads)
		var thresholds []report.Threshold
		for _, t := range p.Thresholds {
			thresholds = append(thresholds, report.Threshold(t))
		}
		described := report.Practice{
			ID: p.ID, Title: p.Title, Chapter: string(p.Chapter), Severity: p.Severity, Optional: p.Optional, LiveOnly: p.LiveOnly,
			Reason: p.Reason, Judged: p.Judged, Fix: p.Fix, Reads: slices.Compact(reads), Thresholds: thresholds, Sources: p.Sources,
		}
		if p.Remedy != nil {
			described.Harden, described.HardenOptIn, described.HardenManifestsOnly = p.Remedy.Does, p.Remedy.OptIn, p.Remedy.ManifestsOnly
		}
		c.Items = append(c.Items, described)
	}
	return c
}
