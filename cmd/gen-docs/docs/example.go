package docs

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// exampleReport is the shop of examples/, diagnosed: kubectl prod doctor -f
// examples/shop -o html.
func exampleReport(repository string, practices []practice.Practice, now time.Time) (Files, error) {
	diagnosis, err := diagnoseShop(repository, practices, now)
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	err = printer.Options{Format: "html", Practices: practice.Describe(practices).Items}.Diagnosis(&page, diagnosis)
	return Files{"docs/example-report.html": page.Bytes()}, err
}

// diagnoseShop is what doctor finds in examples/shop, with paths as from the
// repository's root.
func diagnoseShop(repository string, practices []practice.Practice, now time.Time) (*report.Diagnosis, error) {
	manifests := shopManifests(repository, now)
	snapshot, errs := manifests.Load(context.Background())
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	diagnosis := practice.Evaluate(snapshot, usual(practices), practice.Scope{})
	diagnosis.Origin.Manifests = []string{fromRoot(repository, manifests.Filenames[0])}
	for i := range diagnosis.Findings {
		file := &diagnosis.Findings[i].File
		*file = fromRoot(repository, *file)
	}
	return diagnosis, nil
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
