package pitfalls

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// versions is a cluster whose API server says that it is of one version, with
// nodes of others.
func versions(t *testing.T, server string, kubelets ...string) *cluster.Snapshot {
	t.Helper()
	var text strings.Builder
	for i, v := range kubelets {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Node\nmetadata: {name: node-%d}\nstatus: {nodeInfo: {kubeletVersion: %q}}\n", i, v)
	}
	s, errs := cluster.Manifests{
		Filenames: []string{"-"}, Stdin: strings.NewReader(text.String()), AsLive: true, Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	s.Origin.Version = server
	return s
}

func TestReleasesThatAreNewerThanTheTableAreUnknownAndNotFine(t *testing.T) {
	for name, test := range map[string]struct {
		server, kubelet string
		notChecked      string
		finding         string
	}{
		"both newer":            {"v1.38.0", "v1.38.0", "1.38 is newer than this program's table of releases, which ends with 1.37", ""},
		"the last that it has":  {"v1.37.2", "v1.37.2", "", ""},
		"newer, over old nodes": {"v1.38.0", "v1.34.1", "", "Kubernetes 1.34, whose support ended on 27 October 2026"},
		"no version at all":     {"", "unknown", "no version is known", ""},
		"a provider's build":    {"v1.33.5-gke.1200", "v1.33.5-gke.1200", "", "ended on 28 June 2026; GKE may patch it for longer"},
		"ends in three months":  {"v1.35.1", "v1.35.1", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := VersionEndOfLife().Verdict(versions(t, test.server, test.kubelet))
			if !strings.Contains(v.NotChecked, test.notChecked) || (v.NotChecked == "") != (test.notChecked == "") {
				t.Errorf("not checked: %q, want %q", v.NotChecked, test.notChecked)
			}
			expectFinding(t, v, test.finding)
		})
	}
}

func TestTheVersionThatTheServerSaysCountsForTheSkew(t *testing.T) {
	if v := VersionSkew().Check(versions(t, "", "v1.37.2")); v.NotChecked == "" {
		t.Error("the skew was judged without the API server's version")
	}
	expectFinding(t, VersionSkew().Check(versions(t, "v1.37.2", "v1.38.0")), "kubelet 1.38 of node-0 is newer than the API server (1.37)")
	expectFinding(t, VersionSkew().Check(versions(t, "v1.37.2", "v1.35.0")), "")
}

// TestTheTableOfReleasesHasNoGap holds that each release ends after the one
// before it, and that the table has all it says.
func TestTheTableOfReleasesHasNoGap(t *testing.T) {
	var before time.Time
	for minor := uint(firstMinor); minor <= lastMinor; minor++ {
		end, known := endOfLife(minor)
		if !known || !end.After(before) {
			t.Errorf("1.%d ends %s, known is %v; the one before it ends %s", minor, end, known, before)
		}
		before = end
	}
	if _, known := endOfLife(lastMinor + 1); known {
		t.Errorf("the table goes beyond 1.%d", lastMinor)
	}
}

func expectFinding(t *testing.T, v practice.Verdict, want string) {
	t.Helper()
	if want == "" {
		if len(v.Findings) > 0 {
			t.Errorf("found %q", v.Findings[0].Message)
		}
		return
	}
	if len(v.Findings) != 1 || !strings.Contains(v.Findings[0].Message, want) {
		t.Errorf("findings are %+v, want one of %q", v.Findings, want)
	}
}
