package practice

import (
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

func TestAPracticeJudgesByTheThresholdsThatItIsGiven(t *testing.T) {
	p := Practice{
		ID:         "too-many",
		Thresholds: Thresholds{{Name: "pods", Value: 3}, {Name: "hours", Value: 2}},
		CheckBy: func(_ *cluster.Snapshot, by Thresholds) Verdict {
			if by.Of("pods") < 5 || by.Span("hours", time.Hour) != 2*time.Hour {
				return Verdict{Findings: []Finding{On(WholeCluster(), "", "5 pods")}}
			}
			return Verdict{}
		},
	}
	if v := p.Verdict(nil); len(v.Findings) != 1 {
		t.Errorf("by its own: %+v", v)
	}
	changed := p
	changed.Thresholds = p.Thresholds.With(map[string]float64{"pods": 5})
	if v := changed.Verdict(nil); len(v.Findings) != 0 {
		t.Errorf("by a changed one: %+v", v)
	}
	if p.Thresholds.Of("pods") != 3 {
		t.Error("the practice itself was changed")
	}
}
