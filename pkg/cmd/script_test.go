package cmd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/completion"
)

func TestMain(m *testing.M) {
	run := func() {
		streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
		os.Exit(Main(streams, os.Args, "v0.0.0-test"))
	}
	testscript.Main(m, map[string]func(){"kubectl-prod": run, "kubectl-prod-under-test": run, completion.Completer: run})
}

// TestScripts runs the plugin as its users do: each file of testdata is a
// session at a shell. `server` in a script is an API server that refuses every
// request; `requests N` holds that it was sent N of them, `within 3s COMMAND`
// that a command took no longer.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup:               withServers,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"requests": requests,
			"exits":    exits,
			"within":   within,
			"huge":     huge,
		},
	})
}

type requestCount struct{}

// withServers starts the servers that a script's kubeconfig names.
func withServers(env *testscript.Env) error {
	count := &atomic.Int64{}
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401,"message":"Unauthorized"}`)
	}))
	env.Defer(refusing.Close)
	const dead = "http://127.0.0.1:1" // a port that was freed may be another server's soon
	expired, err := expiredServer()
	if err != nil {
		return err
	}
	env.Defer(expired.Close)
	hanging, letGo := hangingServer()
	env.Defer(letGo)
	env.Values[requestCount{}] = count
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "kubeconfig"))
	kubeconfig := "apiVersion: v1\nkind: Config\ncurrent-context: server\nclusters:\n"
	contexts := "contexts:\n"
	for name, url := range map[string]string{"server": refusing.URL, "dead": dead, "expired": expired.URL, "hanging": hanging} {
		kubeconfig += fmt.Sprintf("- {name: %s, cluster: {server: %q}}\n", name, url)
		contexts += fmt.Sprintf("- {name: %s, context: {cluster: %s, user: \"\"}}\n", name, name)
	}
	return os.WriteFile(env.Getenv("KUBECONFIG"), []byte(kubeconfig+contexts), 0o600)
}

// hangingServer takes requests and answers none, until it is let go.
func hangingServer() (url string, letGo func()) {
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-gone }))
	return server.URL, func() { close(gone); server.Close() }
}

// expiredServer serves with a certificate that ended yesterday.
func expiredServer() (*httptest.Server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}
	server.StartTLS()
	return server, nil
}

// requests holds that the refusing server was sent so many requests.
func requests(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: requests N")
	}
	count, ok := ts.Value(requestCount{}).(*atomic.Int64)
	if !ok {
		ts.Fatalf("no server")
	}
	if got := strconv.FormatInt(count.Load(), 10); got != args[0] {
		ts.Fatalf("the server was sent %s requests, want %s", got, args[0])
	}
}

// exits runs a command and holds its exit code: exits CODE COMMAND...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		var exited interface{ ExitCode() int }
		if !asExit(err, &exited) {
			ts.Fatalf("%v", err)
		}
		code = exited.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// huge writes a manifest with an annotation of ten megabytes: huge FILE
func huge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: huge FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: huge
  annotations: {large: "`+strings.Repeat("x", 10<<20)+`"}
spec:
  selector: {matchLabels: {app: huge}}
  template:
    metadata: {labels: {app: huge}}
    spec: {containers: [{name: c, image: "c:1"}]}
`), 0o600))
}

// within holds that a command succeeds in a time: within DURATION COMMAND...
func within(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: within DURATION COMMAND...")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	start := time.Now()
	ts.Check(ts.Exec(args[1], args[2:]...))
	if took := time.Since(start); took > limit {
		ts.Fatalf("took %s, more than %s", took, limit)
	}
}

func asExit(err error, target *interface{ ExitCode() int }) bool {
	exited, ok := err.(interface{ ExitCode() int })
	*target = exited
	return ok
}
