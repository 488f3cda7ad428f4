package security

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
)

// TestNoFindingReadsOutACredential holds everything that is said of the cases
// against what they hold: not even a part of a value may show.
func TestNoFindingReadsOutACredential(t *testing.T) {
	for _, p := range []practice.Practice{SecretInEnv(), SecretInConfigMap()} {
		s, errs := cluster.Manifests{Filenames: []string{filepath.Join("testdata", p.ID, "fail")}, AsLive: true}.Load(t.Context())
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		said := fmt.Sprintf("%+v", p.Check(s).Findings)
		if !strings.Contains(said, "written") && !strings.Contains(said, "holds") {
			t.Fatalf("%s found nothing", p.ID)
		}
		for _, value := range []string{
			"hunter2", "hunt", "1234", "letmein", "correct-horse", "f3a9c1d2", "Zm9vYmFy", "9f86d081", "AKIA", "s3cr3t", "BEGIN", "guest", "bm90IGEga2V5", "n0t-so",
		} {
			if strings.Contains(said, value) {
				t.Errorf("%s says %q", p.ID, value)
			}
		}
	}
}

func TestStandInsAndNamesAreNoCredentials(t *testing.T) {
	known := newCredentials()
	for name, test := range map[string]struct{ name, value, want string }{
		"a password, however plain":           {"DB_PASSWORD", "root", "a password"},
		"an empty one":                        {"DB_PASSWORD", "", ""},
		"one that comes from elsewhere":       {"DB_PASSWORD", "$(DB)", ""},
		"a template":                          {"DB_PASSWORD", "{{ .Values.password }}", ""},
		"asterisks":                           {"DB_PASSWORD", "****", ""},
		"a path to one":                       {"DB_PASSWORD", "/run/secrets/db", ""},
		"a file of one":                       {"DB_PASSWORD_FILE", "hunter2", ""},
		"the working directory":               {"PWD", "app", ""},
		"a token that looks random":           {"accessToken", "q8Zk2Lm9Xw4Rt7Yb", "a token"},
		"a token that is a word":              {"accessToken", "header", ""},
		"the name of a Secret":                {"PULL_SECRET", "registry-credentials-2026", ""},
		"a short number":                      {"CSRF_TOKEN", "1", ""},
		"a key to something else":             {"PARTITION_KEY", "q8Zk2Lm9Xw4Rt7Yb", ""},
		"a URL with a password":               {"DSN", "redis://:q8Zk2L@cache:6379", "a URL with a password"},
		"a URL with a password of an example": {"DSN", "postgres://user:password@host/db", ""},
		"a URL with a user alone":             {"DSN", "postgres://user@host/db", ""},
		"a URL with a port":                   {"URL", "http://host:8080/a@b", ""},
		"a public key":                        {"KEY", "-----BEGIN PUBLIC KEY-----", ""},
		"a private key":                       {"KEY", "-----BEGIN RSA PRIVATE KEY-----", "a private key"},
		"a GitHub token":                      {"X", "ghp_" + strings.Repeat("a1", 18), "a GitHub token"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := known.in(test.name, test.value); got != test.want {
				t.Errorf("says %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzCredentials(f *testing.F) {
	known := newCredentials()
	f.Add("DB_PASSWORD", "db.password=hunter2\n# a: b\n\"token\": \"x\",")
	f.Fuzz(func(t *testing.T, name, text string) {
		known.in(name, text)
		if _, named := known.inText(text); named != "" && !strings.Contains(text, named) {
			t.Errorf("names %q, which the text does not", named)
		}
	})
}

// BenchmarkText reads a dashboard's worth of JSON, as real ConfigMaps hold it.
func BenchmarkText(b *testing.B) {
	known := newCredentials()
	text := strings.Repeat("      {\"key\": \"value\", \"url\": \"https://example.com/d/abc\", \"targets\": [{\"expr\": \"rate(http_requests_total[5m])\"}]},\n", 500)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		known.inText(text)
	}
}
