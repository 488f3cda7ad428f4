package fault

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// newProxy is a Proxy to a server that answers everything with text.
func newProxy(t *testing.T, text string) (*Proxy, string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, text+r.URL.RawQuery)
	}))
	t.Cleanup(server.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	content := "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {server: " + server.URL + "}}]\ncontexts: [{name: a, context: {cluster: a}}]\n"
	if err := os.WriteFile(kubeconfig, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p := NewProxy(t, kubeconfig)
	return p, p.server.URL
}

func get(t *testing.T, url string) (code int, body string, err error) {
	t.Helper()
	client := &http.Client{Timeout: 300 * time.Millisecond}
	answer, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(data), err
}

func TestRulesPickTheirRequests(t *testing.T) {
	p, url := newProxy(t, "fine")
	p.Spoil(Rule{Match: Path("/a"), Skip: 1, Times: 1, Fault: Status(503, metav1.StatusReasonServiceUnavailable, 0)})
	for i, step := range []struct {
		path string
		want int
	}{{"/a", 200}, {"/b", 200}, {"/a", 503}, {"/a", 200}} {
		if code, _, err := get(t, url+step.path); err != nil || code != step.want {
			t.Errorf("request %d, %s: %d (%v), want %d", i+1, step.path, code, err, step.want)
		}
	}
	if seen := p.Requests(); len(seen) != 4 || seen[1].URL.Path != "/b" {
		t.Errorf("recorded %v", seen)
	}
}

func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault Fault
		holds func(code int, body string, err error) bool
	}{
		"a status is the API server's": {Status(403, metav1.StatusReasonForbidden, 0), func(code int, body string, _ error) bool {
			return code == 403 && strings.Contains(body, `"kind":"Status"`)
		}},
		"a hang ends with the client":              {Hang(), func(_ int, _ string, err error) bool { return err != nil }},
		"a dropped connection is no answer":        {Drop(), func(_ int, _ string, err error) bool { return err != nil }},
		"a cut answer is an error after its bytes": {Cut(3), func(code int, body string, err error) bool { return code == 200 && body == "fin" && err != nil }},
		"a trickle comes byte by byte":             {Trickle(time.Millisecond), func(_ int, body string, err error) bool { return body == "fine" && err == nil }},
		"a slow trickle outlasts its client":       {Trickle(time.Second), func(_ int, _ string, err error) bool { return err != nil }},
		"garbage has the right type":               {Garble(), func(code int, body string, _ error) bool { return code == 200 && strings.HasPrefix(body, "k8s\x00") }},
		"a portal's page is HTML":                  {WebPage(), func(_ int, body string, _ error) bool { return strings.Contains(body, "<html>") }},
		"pages are made small":                     {Pages(2), func(_ int, body string, _ error) bool { return body == "finelimit=2" }},
	} {
		t.Run(name, func(t *testing.T) {
			p, url := newProxy(t, "fine")
			p.Spoil(Rule{Fault: test.fault})
			if code, body, err := get(t, url+"/x"); !test.holds(code, body, err) {
				t.Errorf("got %d %q (%v)", code, body, err)
			}
		})
	}
}

func TestAnExpiredTokenComesWithAFreshOne(t *testing.T) {
	token := base64.RawURLEncoding.EncodeToString([]byte(`{"v":"meta.k8s.io/v1","rv":7,"start":"a"}`))
	p, url := newProxy(t, "fine")
	p.Spoil(Rule{Fault: Expire()})
	code, body, err := get(t, url+"/api/v1/pods?limit=1&continue="+token)
	if err != nil || code != http.StatusGone {
		t.Fatalf("got %d (%v)", code, err)
	}
	want, _ := base64.RawURLEncoding.DecodeString(fresh(token))
	if string(want) != `{"rv":-1,"start":"a","v":"meta.k8s.io/v1"}` || !strings.Contains(body, fresh(token)) {
		t.Errorf("fresh token %s, body %s", want, body)
	}
}

func TestAClockIsSetOff(t *testing.T) {
	p, url := newProxy(t, "fine")
	p.Spoil(Rule{Fault: Clock(-365 * 24 * time.Hour)})
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if off := time.Since(date); err != nil || off < 364*24*time.Hour {
		t.Errorf("the clock is off by %s (%v)", off, err)
	}
}

func TestALostAnswerIsAskedForAllTheSame(t *testing.T) {
	p, url := newProxy(t, "fine")
	asked := 0
	p.forward.ModifyResponse = func(*http.Response) error { asked++; return nil }
	p.Spoil(Rule{Fault: Lose(Drop())})
	if _, _, err := get(t, url); err == nil || asked != 1 {
		t.Errorf("the server was asked %d times, and the answer came (%v)", asked, err)
	}
}

func TestAServerGoesDownAndComesBack(t *testing.T) {
	p, url := newProxy(t, "fine")
	p.Stop()
	if _, _, err := get(t, url); err == nil {
		t.Error("it answers while it is down")
	}
	p.Start()
	if code, _, err := get(t, url); code != http.StatusOK {
		t.Errorf("it came back with %d (%v)", code, err)
	}
}

func TestACertificateIsExchanged(t *testing.T) {
	_, plain := newProxy(t, "fine")
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	content := "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {server: " + plain + "}}]\ncontexts: [{name: a, context: {cluster: a}}]\n"
	if err := os.WriteFile(kubeconfig, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p := NewTLSProxy(t, kubeconfig)
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		answer, err := client.Get(config.Host)
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
		return err
	}
	if err := ask(); err != nil {
		t.Errorf("the first certificate is not trusted: %v", err)
	}
	p.Renew()
	if err := ask(); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("the second certificate is trusted: %v", err)
	}
}

func TestStaleDiscoveryLacksOneGroupAndHasAnother(t *testing.T) {
	p, url := newProxy(t, `{"items":[{"metadata":{"name":"apps"}},{"metadata":{"name":"batch"}}]}`)
	p.Spoil(Rule{Fault: Stale("apps", "gone.test", "v1", "things")})
	_, body, err := get(t, url)
	if err != nil || strings.Contains(body, "apps") || !strings.Contains(body, "batch") || !strings.Contains(body, "gone.test") {
		t.Errorf("%v: %s", err, body)
	}
}
