package practice

import (
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// score adds up a diagnosis. Of each practice that was checked and judged at
// least one of the user's objects, the share of these objects without a
// finding counts with the weight of the practice's severity (critical 10,
// warning 3, info 1):
//
//	score = 100 × Σ weight × (judged − failed) / judged  ÷  Σ weight
//
// rounded down. A practice that was not checked counts neither for nor
// against; a chapter, or a run, in which nothing was judged has no score.
func score(d *report.Diagnosis) (report.Score, []report.ChapterScore) {
	var overall tally
	chapters := map[string]*tally{}
	for _, chapter := range Chapters() {
		chapters[string(chapter)] = &tally{}
	}
	for _, p := range d.Practices {
		overall.practice(p)
		chapters[p.Chapter].practice(p)
	}
	for _, f := range d.Findings {
		overall.finding(f)
		chapters[f.Chapter].finding(f)
	}
	var scores []report.ChapterScore
	for _, chapter := range Chapters() {
		scores = append(scores, report.ChapterScore{
			Chapter: string(chapter), Title: chapter.Title(), Score: chapters[string(chapter)].score(),
		})
	}
	return overall.score(), scores
}

// tally adds up one score.
type tally struct {
	weight, good float64
	counts       report.Score
}

func (t *tally) practice(p report.PracticeResult) {
	if p.Checked && p.Judged > 0 {
		weight := float64(p.Severity.Weight())
		t.weight += weight
		t.good += weight * float64(p.Judged-p.Failed) / float64(p.Judged)
	}
}

func (t *tally) finding(f report.Finding) {
	if f.Platform {
		return
	}
	switch f.Severity {
	case report.Critical:
		t.counts.Critical++
	case report.Warning:
		t.counts.Warning++
	default:
		t.counts.Info++
	}
}

func (t *tally) score() report.Score {
	s := t.counts
	if t.weight > 0 {
		percent := int(100 * t.good / t.weight)
		if percent == 100 && t.good < t.weight {
			percent = 99 // 100 is kept for "nothing found"
		}
		s.Percent = &percent
	}
	return s
}
