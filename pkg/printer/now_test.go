package printer

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func TestInAnIncidentTheFirstLinesSayWhatToDo(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 15, 3, 0, 0, 0, time.UTC))
	payments := report.Object{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "payments"}
	d := &report.Diagnosis{
		Time: at, Score: report.Score{Critical: 1, Warning: 1},
		Findings: []report.Finding{
			{Practice: "quota-nearly-full", Severity: report.Warning, Now: true, Object: report.Object{APIVersion: "v1", Kind: "ResourceQuota", Namespace: "shop", Name: "q"}, Message: "nearly used up"},
			{Practice: "restart-loop", Severity: report.Critical, Now: true, Object: payments, Message: "container \x1b[31m restarted 9 times", Fix: "kubectl logs --previous -n shop payments-1 -c app"},
		},
		Changes: []report.Change{{Object: payments, What: "rolled out, revision 7", Time: metav1.NewTime(at.Add(-10 * time.Minute))}},
		Events:  []report.EventGroup{{Reason: "BackOff", Message: "Back-off restarting", Object: payments, Count: 12, Last: at}},
	}
	var b strings.Builder
	if err := (Options{Now: true}).Diagnosis(&b, d); err != nil {
		t.Fatal(err)
	}
	said, from := b.String(), 0
	for _, next := range []string{
		"1 critical, 1 warning", "critical  shop deployment/payments: container \\x1b[31m restarted 9 times", "-> kubectl logs --previous -n shop payments-1 -c app",
		"warning  shop resourcequota/q", "-> kubectl prod doctor explain quota-nearly-full", "CHANGED", "rolled out, revision 7", "WARNED", "BackOff",
	} {
		at := strings.Index(said[from:], next)
		if at < 0 {
			t.Fatalf("%q is not where it should be in\n%s", next, said)
		}
		from += at
	}
	if strings.Contains(said, "CHAPTER") || strings.Contains(said, "score") {
		t.Errorf("a score is for calmer days:\n%s", said)
	}
	b.Reset()
	if err := (Options{Now: true}).Diagnosis(&b, &report.Diagnosis{Time: at}); err != nil || !strings.Contains(b.String(), "nothing burns") {
		t.Errorf("%v\n%s", err, b.String())
	}
}
