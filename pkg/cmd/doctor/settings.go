package doctor

import (
	"slices"

	"github.com/kubectl-prod/kubectl-prod/pkg/config"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
)

// describable are the practices that list and explain know: the catalogue's,
// as the file changes them, and those of the user's own.
func describable(configFile string, names []string) ([]practice.Practice, error) {
	settings, err := config.Find(configFile, catalogue.All())
	if err != nil {
		return nil, err
	}
	return practice.Named(settings.Adjust(slices.Concat(catalogue.All(), settings.Custom)), names)
}
