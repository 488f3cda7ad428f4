package practice

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Try judges practices and tells the verdict on every object, in order or not.
func Try(s *cluster.Snapshot, practices []Practice) *report.Trial {
	trial := &report.Trial{
		TypeMeta: metav1.TypeMeta{APIVersion: report.GroupVersion().String(), Kind: "Trial"},
		Tried:    []report.Tried{},
	}
	for _, p := range practices {
		verdict := p.Verdict(s)
		if verdict.NotChecked != "" {
			trial.Failed++
			trial.Tried = append(trial.Tried, report.Tried{Practice: p.ID, Verdict: "error", Message: verdict.NotChecked})
			continue
		}
		said := map[cluster.Ref]string{}
		for _, f := range verdict.Findings {
			said[f.Object] = cmp.Or(said[f.Object], f.Message)
		}
		for _, ref := range verdict.Judged {
			tried := report.Tried{Practice: p.ID, Verdict: "pass", Object: objectOf(ref)}
			if message, fails := said[ref]; fails {
				trial.Found++
				tried.Verdict, tried.Message = "fail", message
			}
			trial.Tried = append(trial.Tried, tried)
		}
	}
	return trial
}

func objectOf(ref cluster.Ref) report.Object {
	return report.Object{APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
}
