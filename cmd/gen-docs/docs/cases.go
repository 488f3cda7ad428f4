package docs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// example is what a page shows of a case that the practice's tests hold.
type example struct {
	Name string
	YAML string
}

// judge is what a practice says of objects, as its tests ask it.
func judge(p practice.Practice, yaml string) *report.Diagnosis {
	s, _ := cluster.Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(yaml), Namespace: "default", Time: Time(), AsLive: true}.Load(context.Background())
	return practice.Evaluate(s, []practice.Practice{p}, practice.Scope{})
}

// exampleIn is the case of a directory to show: example.yaml where there is
// one, else the one that is shortest once the documents are taken out without
// which it still shows what it is to show.
func exampleIn(dir string, shows func(yaml string) bool) (example, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return example{}, err
	}
	var best example
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return example{}, err
		}
		if !shows(string(content)) {
			continue // a case in which nothing is judged, on purpose
		}
		of := example{Name: filepath.Base(path), YAML: reduce(string(content), shows)}
		if of.Name == "example.yaml" {
			return of, nil
		}
		if best.Name == "" || len(of.YAML) < len(best.YAML) {
			best = of
		}
	}
	if best.Name == "" {
		return best, fmt.Errorf("%s holds no case to show", dir)
	}
	return best, nil
}

// reduce takes out documents, the last first, as long as the rest shows the
// same. What a comment at the top said of them all goes with them.
func reduce(yaml string, shows func(yaml string) bool) string {
	const separator = "\n---\n"
	documents := regexp.MustCompile(`(?m)^---\s*\n`).Split(strings.TrimSpace(yaml)+"\n", -1)
	for i := range documents {
		documents[i] = strings.TrimSpace(documents[i])
	}
	documents = slices.DeleteFunc(documents, func(d string) bool { return d == "" })
	all := len(documents)
	for i := len(documents) - 1; i >= 0 && len(documents) > 1; i-- {
		if rest := slices.Delete(slices.Clone(documents), i, i+1); shows(strings.Join(rest, separator)) {
			documents = rest
		}
	}
	if len(documents) < all {
		documents[0] = regexp.MustCompile(`\A(#.*\n)+`).ReplaceAllString(documents[0], "")
	}
	return strings.Join(documents, separator)
}
