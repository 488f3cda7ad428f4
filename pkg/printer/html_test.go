package printer

import (
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// TestThePolicyAdmitsThePagesOwnPartsAlone computes the hashes from the page as
// a browser would.
func TestThePolicyAdmitsThePagesOwnPartsAlone(t *testing.T) {
	eachHostile(t, "html", func(t *testing.T, _, page string) {
		policy := html.UnescapeString(regexp.MustCompile(`Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)[1])
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
			t.Errorf("policy %q", policy)
		}
		for _, element := range []string{"style", "script"} {
			found := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(page, -1)
			if len(found) != 1 {
				t.Fatalf("%d <%s>", len(found), element)
			}
			if want := element + "-src '" + hash(found[0][1]) + "'"; !strings.Contains(policy, want) {
				t.Errorf("the policy %q lacks %s", policy, want)
			}
		}
	})
}

func TestThePageLoadsNothingAndHoldsNoCodeOfACluster(t *testing.T) {
	eachHostile(t, "html", func(t *testing.T, _, page string) {
		body := page[strings.Index(page, "<body>"):strings.Index(page, "<script>")]
		tags := strings.Join(regexp.MustCompile(`<[^>]*>`).FindAllString(regexp.MustCompile(`="[^"]*"`).ReplaceAllString(body, `=""`), -1), "\n")
		for _, forbidden := range []string{"<script", "<img", "<!--", " src=", " style=", " on"} {
			if strings.Contains(tags, forbidden) {
				t.Errorf("holds %s", forbidden)
			}
		}
		for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if !strings.HasPrefix(link[1], "#") && !strings.HasPrefix(link[1], home) {
				t.Errorf("links to %s", link[1])
			}
		}
	})
}

func TestThePageTellsInTheOrderOfTheScreen(t *testing.T) {
	d := hostileDiagnosis("x")
	d.Findings = append(d.Findings, diagnosis().Findings...)
	page := printed(t, "html", d)
	at := 0
	for _, heading := range []string{"<h1", "Worst practices", "Chapters</h2>", "Changed in the last hour</h2>", "Warned of in the last hour</h2>", "Every finding", "Why it matters", "Not checked</h2>", "Ignored</h2>", "own objects</h2>"} {
		next := strings.Index(page[at:], heading)
		if next < 0 {
			t.Fatalf("%s does not come after what it should", heading)
		}
		at += next
	}
}

func TestAPageWithNothingToTellStillTellsIt(t *testing.T) {
	page := printed(t, "html", &report.Diagnosis{Origin: report.Origin{Context: "calm"}})
	for _, want := range []string{"no score: there was nothing to judge", "Nothing found in what was checked", "context calm"} {
		if !strings.Contains(page, want) {
			t.Errorf("lacks %q", want)
		}
	}
}
