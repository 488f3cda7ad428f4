package docs

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
)

// exampleReport is the shop of examples/, diagnosed: kubectl prod doctor -f
// examples/shop -o html.
func exampleReport(repository string, practices []practice.Practice, now time.Time) (Files, error) {
	shop := filepath.Join("examples", "shop")
	snapshot, errs := cluster.Manifests{Filenames: []string{filepath.Join(repository, shop)}, Namespace: "default", Time: now}.Load()
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	diagnosis := practice.Evaluate(snapshot, usual(practices), practice.Scope{})
	diagnosis.Origin.Manifests = []string{filepath.ToSlash(shop)}
	for i := range diagnosis.Findings {
		file := &diagnosis.Findings[i].File
		*file = filepath.ToSlash(strings.TrimPrefix(*file, filepath.Clean(repository)+string(filepath.Separator)))
	}
	var page bytes.Buffer
	err := printer.Options{Format: "html", Practices: practice.Describe(practices).Items}.Diagnosis(&page, diagnosis)
	return Files{"docs/example-report.html": page.Bytes()}, err
}

// usual are the practices that doctor judges when nothing else is asked.
func usual(practices []practice.Practice) []practice.Practice {
	var chosen []practice.Practice
	for _, p := range practices {
		if !p.Optional {
			chosen = append(chosen, p)
		}
	}
	return chosen
}
