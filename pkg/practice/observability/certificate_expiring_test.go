package observability

import (
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func TestCertificatesOfTheConnectionAreJudgedByWhatIsLeftOfThem(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	const year = 365 * day
	for name, c := range map[string]struct {
		life, left time.Duration
		severity   report.Severity
		message    string
	}{
		"a year's, with 31 days left, is in order":              {life: year, left: 31 * day},
		"a year's, with 29 days left, is a warning":             {year, 29 * day, "", "the API server's serving certificate (kube-apiserver) expires in 29 days, on 2026-02-13 12:00 UTC"},
		"a year's, with 6 days left, is critical":               {year, 6 * day, report.Critical, "the API server's serving certificate (kube-apiserver) expires in 6 days, on 2026-01-21 12:00 UTC"},
		"with one day left, hours are told":                     {year, 30 * time.Hour, report.Critical, "the API server's serving certificate (kube-apiserver) expires in 30 hours, on 2026-01-16 18:00 UTC"},
		"an expired one says since when":                        {year, -3 * day, report.Critical, "the API server's serving certificate (kube-apiserver) expired 3 days ago, on 2026-01-12 12:00 UTC"},
		"a day's, with 9 hours left, is in order":               {life: day, left: 9 * time.Hour},
		"a day's, with 3 hours left, is a warning":              {day, 3 * time.Hour, "", "the API server's serving certificate (kube-apiserver) expires in 3 hours, on 2026-01-15 15:00 UTC"},
		"one that is expired since it was made is critical too": {0, 0, report.Critical, "the API server's serving certificate (kube-apiserver) expired 0 hours ago, on 2026-01-15 12:00 UTC"},
	} {
		t.Run(name, func(t *testing.T) {
			end := now.Add(c.left)
			verdict := CertificateExpiring().Verdict(&cluster.Snapshot{Time: now, Origin: cluster.Origin{Live: true, Certificates: []cluster.Certificate{
				{Use: "API server's serving certificate", Subject: "kube-apiserver", NotBefore: end.Add(-c.life), NotAfter: end},
			}}})
			if c.message == "" {
				if len(verdict.Findings) != 0 {
					t.Fatalf("should be in order: %v", verdict.Findings)
				}
				return
			}
			if len(verdict.Findings) != 1 || verdict.Findings[0].Message != c.message || verdict.Findings[0].Severity != c.severity {
				t.Errorf("got %+v\nwant %s %s", verdict.Findings, c.severity, c.message)
			}
		})
	}
}
