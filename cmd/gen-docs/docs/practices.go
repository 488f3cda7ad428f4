package docs

import (
	"fmt"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// practicePage is what a practice's page shows.
type practicePage struct {
	report.Practice
	ChapterTitle string
	Anchor       string // of the chapter, in the index
	ClusterScope bool
	Ignore       string
	Testdata     string // from the page
	Broken, Fine example
	Says         []string
}

// practicePages are a page for each practice and the index of them.
func practicePages(repository string, practices []practice.Practice) (Files, error) {
	functions := template.FuncMap{"markdown": markdown, "join": strings.Join, "sentence": sentence}
	files := Files{}
	for _, p := range practices {
		page, err := pageOf(repository, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.ID, err)
		}
		if files["docs/practices/"+p.ID+".md"], err = render("practice.md.tmpl", functions, page); err != nil {
			return nil, err
		}
	}
	byChapter := map[practice.Chapter][]practice.Practice{}
	for _, p := range practices {
		byChapter[p.Chapter] = append(byChapter[p.Chapter], p)
	}
	index, err := render("practices.md.tmpl", functions, map[string]any{"Chapters": practice.Chapters(), "Practices": byChapter, "Count": len(practices)})
	files["docs/practices/README.md"] = index
	return files, err
}

func pageOf(repository string, p practice.Practice) (practicePage, error) {
	testdata := filepath.Join("pkg", "practice", string(p.Chapter), "testdata", p.ID)
	page := practicePage{
		Practice: practice.Describe([]practice.Practice{p}).Items[0], ChapterTitle: p.Chapter.Title(), Anchor: anchor(p.Chapter), ClusterScope: p.ClusterScope,
		Ignore: practice.IgnoreAnnotation + p.ID, Testdata: "../../" + filepath.ToSlash(testdata),
	}
	var err error
	page.Broken, err = exampleIn(filepath.Join(repository, testdata, "fail"), func(yaml string) bool { return len(judge(p, yaml).Findings) > 0 })
	if err != nil {
		return page, err
	}
	page.Fine, err = exampleIn(filepath.Join(repository, testdata, "pass"), func(yaml string) bool {
		d := judge(p, yaml)
		return len(d.Findings) == 0 && d.Practices[0].Judged > 0
	})
	for _, f := range judge(p, page.Broken.YAML).Findings {
		page.Says = append(page.Says, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", f.Severity, f.Object, f.Path)), " ")+": "+f.Message)
	}
	return page, err
}

// sentence is a fix as a sentence, unless it starts with a command.
func sentence(fix string) string {
	if fix == "" || strings.HasPrefix(fix, "kubectl ") {
		return fix
	}
	return strings.ToUpper(fix[:1]) + fix[1:] + "."
}
