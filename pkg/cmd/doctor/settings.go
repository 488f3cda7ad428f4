package doctor

import (
	"os"
	"slices"

	"github.com/kubectl-prod/kubectl-prod/pkg/config"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice/catalogue"
)

// settingsOf reads a configuration file; "" is the default one, where it is
// there.
func settingsOf(name string) (*config.Config, error) {
	if name == "" {
		if _, err := os.Stat(config.DefaultFile); err != nil {
			return &config.Config{}, nil //nolint:nilerr // nobody asked for the file
		}
		name = config.DefaultFile
	}
	return config.Load(name, catalogue.All())
}

// describable are the practices that list and explain know: the catalogue's,
// and those of the user's own.
func describable(configFile string, names []string) ([]practice.Practice, error) {
	settings, err := settingsOf(configFile)
	if err != nil {
		return nil, err
	}
	return named(slices.Concat(catalogue.All(), settings.Custom), names)
}
