package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/exit"
	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/output"
	"github.com/kubectl-prod/kubectl-prod/pkg/printer"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func newDiffCommand(streams genericiooptions.IOStreams) *cobra.Command {
	var print output.Options
	cmd := &cobra.Command{
		Use:   "diff BEFORE AFTER",
		Short: "Say what changed between two diagnoses",
		Long: `Say what changed between two diagnoses, saved with -o json or -o yaml.

Exit codes: 0, nothing new; 1, something new; 2, no answer.`,
		Example: `  kubectl prod doctor -o json > monday.json
  kubectl prod doctor -o json > friday.json
  kubectl prod doctor diff monday.json friday.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := print.Complete(streams); err != nil {
				return err
			}
			before, err := loadDiagnosis(args[0])
			if err != nil {
				return err
			}
			after, err := loadDiagnosis(args[1])
			if err != nil {
				return err
			}
			comparison := report.Compare(before, after)
			err = print.Write(streams, func(w io.Writer) error { return print.Printer().Comparison(w, comparison) })
			if err != nil {
				return err
			}
			if len(comparison.New) > 0 {
				return exit.With(exit.Found, "")
			}
			return nil
		},
	}
	print.AddFlags(cmd, printer.ListFormats())
	return cmd
}

// loadDiagnosis reads a diagnosis that doctor wrote as JSON or YAML.
func loadDiagnosis(name string) (*report.Diagnosis, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	text, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, fmt.Errorf("%s is neither JSON nor YAML: %w", name, err)
	}
	d := &report.Diagnosis{}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(d); err != nil {
		return nil, fmt.Errorf("%s is no diagnosis: %w", name, err)
	}
	if d.Kind != "Diagnosis" || d.APIVersion != report.GroupVersion().String() {
		return nil, fmt.Errorf("%s is no diagnosis of %s (kubectl prod doctor -o json writes one): it says %q, %q", name, report.GroupVersion(), d.APIVersion, d.Kind)
	}
	return d, nil
}

// writeDiagnosis saves a diagnosis as JSON.
func writeDiagnosis(name string, d *report.Diagnosis) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o600)
}
