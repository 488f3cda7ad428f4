package printer

import (
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func TestABaselineIsToldInEveryFormat(t *testing.T) {
	d := diagnosis()
	if len(d.Findings) == 0 {
		t.Fatal("the example has no finding")
	}
	checked := d.Findings[0]
	d.Findings = nil
	d.Known = []report.Finding{checked}
	gone := checked
	gone.Object.Name = "mended-since"
	d.Mended = []report.Finding{gone}
	for format, want := range map[string][]string{
		"sarif":      {`"baselineState": "unchanged"`},
		"junit":      {`message="known: the baseline holds 1 finding, and nothing is new"`},
		"csv":        {",known\r\n", ",mended\r\n"},
		"prometheus": {`kubectl_prod_doctor_baseline_findings{state="known"} 1`, `kubectl_prod_doctor_findings{practice="` + checked.Practice + `",chapter="` + checked.Chapter + `",severity="` + string(checked.Severity) + `"} 0`},
	} {
		t.Run(format, func(t *testing.T) {
			got := printed(t, format, d)
			for _, text := range want {
				if !strings.Contains(got, text) {
					t.Errorf("lacks %s:\n%s", text, got)
				}
			}
			if format == "sarif" && strings.Contains(got, "mended-since") {
				t.Error("code scanning would keep the alert of a mended finding open")
			}
		})
	}
}

func TestWhatHappenedOfLateIsToldToMachinesToo(t *testing.T) {
	d := hostileDiagnosis("plain")
	for format, want := range map[string]string{
		"sarif":      "warning event, 3 times: ",
		"prometheus": `kubectl_prod_doctor_warning_events{reason="plain"} 3`,
	} {
		if got := printed(t, format, d); !strings.Contains(got, want) {
			t.Errorf("%s lacks %s:\n%s", format, want, got)
		}
	}
}
