package examples_test

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// planted are the mistakes in the shop: the practice, and the object that it
// must name. README.md tells the same.
func planted() map[string]string {
	return map[string]string{
		"cpu-request-unset":        "Deployment shop/cart",
		"memory-request-unset":     "Deployment shop/frontend",
		"memory-limit-unset":       "StatefulSet shop/database",
		"hpa-target-missing":       "HorizontalPodAutoscaler shop/frontend",
		"hpa-missing":              "Deployment shop/cart",
		"network-policy-missing":   "Namespace /shop",
		"pod-security-label-unset": "Namespace /shop",
		"pss-baseline":             "DaemonSet shop/log-agent",
		"pss-restricted":           "Deployment shop/worker",
		"run-as-root":              "Deployment shop/frontend",
		"image-tag-mutable":        "CronJob shop/report",
		"service-account-default":  "Deployment shop/catalogue",
		"certificate-expiring":     "Secret shop/shop-tls",
		"single-replica":           "Deployment shop/catalogue",
		"spread-unset":             "Deployment shop/cart",
		"zone-label-deprecated":    "Deployment shop/frontend",
		"pdb-missing":              "Deployment shop/worker",
		"pdb-blocks-drain":         "PodDisruptionBudget shop/cart",
		"readiness-probe-missing":  "Deployment shop/frontend",
		"default-namespace-used":   "Deployment default/banner",
		"resource-quota-missing":   "Namespace /shop",
		"limit-range-missing":      "Namespace /shop",
		"secret-in-env":            "Deployment shop/payments",
	}
}

func TestEveryMistakePlantedInTheShopIsFound(t *testing.T) {
	found := map[string][]string{}
	for _, f := range diagnose(t, "shop", false).Findings {
		found[f.Practice] = append(found[f.Practice], object(f))
	}
	for id, want := range planted() {
		if !strings.Contains(strings.Join(found[id], "\n")+"\n", want+"\n") {
			t.Errorf("%s should be found on %s; it is found on %q", id, want, found[id])
		}
	}
}

// TestNothingElseIsFoundInTheShop holds the shop to planted.txt: nothing at
// warning or above that is not there, and all of it.
func TestNothingElseIsFoundInTheShop(t *testing.T) {
	text, err := os.ReadFile("planted.txt")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !strings.HasSuffix(line, " running") {
			missing[line] = true
		}
	}
	wanted := maps.Clone(missing)
	for _, f := range diagnose(t, "shop", false).Findings {
		line := f.Practice + " " + object(f)
		if f.Severity.AtLeast(report.Warning) && !wanted[line] {
			t.Errorf("%s is found, and is not in planted.txt: %s", line, f.Message)
		}
		delete(missing, line)
	}
	for line := range missing {
		t.Errorf("%s is not found", line)
	}
}

func TestTheShopsLeftoverIsFoundOnceItRuns(t *testing.T) {
	var unused []string
	for _, f := range diagnose(t, "shop", true).Findings {
		if f.Practice == "unused-configmap" {
			unused = append(unused, object(f))
		}
	}
	if got := strings.Join(unused, ", "); got != "ConfigMap shop/winter-theme" {
		t.Errorf("unused ConfigMaps: %s", got)
	}
}

func TestTheFixedShopIsInOrder(t *testing.T) {
	for _, f := range diagnose(t, "shop-fixed", false).Findings {
		if !f.Severity.AtLeast(report.Warning) {
			continue
		}
		t.Errorf("%s %s on %s %s: %s", f.Severity, f.Practice, object(f), f.Path, f.Message)
	}
}

func TestTheReadmeNamesEveryMistake(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for id := range planted() {
		if !strings.Contains(string(readme), "`"+id+"`") {
			t.Errorf("README.md does not name %s", id)
		}
	}
}

// diagnose judges an example by every practice, as manifests or as if it were
// all that a cluster held.
func diagnose(t *testing.T, dir string, live bool) *report.Diagnosis {
	t.Helper()
	s, errs := cluster.Manifests{
		Filenames: []string{dir}, Namespace: "default", AsLive: live, Time: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC),
	}.Load(t.Context())
	for _, err := range errs {
		t.Error(err)
	}
	return practice.Evaluate(s, catalogue.All(), practice.Scope{})
}

func object(f report.Finding) string {
	return fmt.Sprintf("%s %s/%s", f.Object.Kind, f.Object.Namespace, f.Object.Name)
}
