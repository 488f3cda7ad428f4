//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// vault is a namespace whose objects hold a planted value wherever people put
// secrets, and are wrong enough to be told of. Applied, so that all of it stands
// in last-applied-configuration once more.
const vault = `
apiVersion: v1
kind: Namespace
metadata: {name: vault}
---
apiVersion: v1
kind: Secret
metadata: {name: opaque, namespace: vault}
stringData: {password: planted-opaque-5b1f}
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: vault}
type: kubernetes.io/basic-auth
stringData: {username: planted-user-5b1f, password: planted-login-5b1f}
---
apiVersion: v1
kind: Secret
metadata: {name: tls, namespace: vault}
type: kubernetes.io/tls
stringData: {tls.crt: planted-certificate-5b1f, tls.key: planted-key-5b1f}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: vault}
data:
  password: planted-setting-5b1f
  app.properties: |
    db.url=postgres://shop:planted-url-5b1f@db.vault.svc:5432/shop
    aws.secret_access_key=planted-property-5b1f
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: vault
  annotations: {example.com/token: planted-annotation-5b1f}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata:
      labels: {app: api}
      annotations: {example.com/token: planted-template-5b1f}
    spec:
      containers:
      - name: api
        image: registry.example.com/api:latest
        command: [/api, --token=planted-command-5b1f]
        args: [--password=planted-argument-5b1f]
        env:
        - {name: DB_PASSWORD, value: planted-variable-5b1f}
        - {name: DATABASE_URL, value: "postgres://shop:planted-dsn-5b1f@db/shop"}
        envFrom: [{secretRef: {name: opaque}}]
        ports: [{containerPort: 8080}]
        livenessProbe:
          httpGet: {path: /, port: 8080, httpHeaders: [{name: Authorization, value: Bearer planted-header-5b1f}]}
        lifecycle: {preStop: {exec: {command: [/bin/sh, -c, curl -u shop:planted-hook-5b1f localhost]}}}
        volumeMounts: [{name: settings, mountPath: /etc/settings}]
      volumes: [{name: settings, configMap: {name: settings}}]
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: vault}
spec:
  selector: {app: api}
  ports: [{port: 80, targetPort: 8080}]
`

// secrecy runs each verb as a ServiceAccount that may do what the verb's printed
// role says and no more: it is enough, nothing planted is ever told, and the API
// server's audit log shows that no Secret's body was sent but those of TLS.
func secrecy(t *testing.T, c *testCluster) {
	manifest := filepath.Join(t.TempDir(), "vault.yaml")
	writeFile(t, manifest, vault)
	c.must(t, "apply", "-f", manifest)
	defer c.must(t, "delete", "namespace", "vault", "--wait=false")
	eventually(t, time.Minute, c.podsReady(t, "vault"))
	s := &secrets{testCluster: c, planted: plantedValues(t)}
	t.Run("doctor", s.doctorTells)
	t.Run("drain-check", s.drainCheckTells)
	t.Run("harden", s.hardenTells)
	t.Run("backup-etcd", s.backupTells)
	t.Run("the audit log", s.audited)
}

type secrets struct {
	*testCluster
	planted []string
}

// plantedValues are the planted values, as they are and as base64 has them.
func plantedValues(t *testing.T) []string {
	values := regexp.MustCompile(`planted-[a-z]+-5b1f`).FindAllString(vault, -1)
	if len(values) < 15 {
		t.Fatalf("only %d values are planted", len(values))
	}
	for _, value := range slices.Clone(values) {
		values = append(values, base64.StdEncoding.EncodeToString([]byte(value)))
	}
	return values
}

// silent holds that nothing planted is in a text.
func (s *secrets) silent(t *testing.T, where, text string) {
	t.Helper()
	for _, value := range s.planted {
		if at := strings.Index(text, value); at >= 0 {
			t.Errorf("%s tells %s: …%s…", where, value, text[max(0, at-200):min(len(text), at+60)])
		}
	}
}

// log holds that a log is there, without the bodies of requests and answers: in
// some forms nothing planted could be found in them, and it would be there.
func (s *secrets) log(t *testing.T, what, text string) {
	t.Helper()
	s.silent(t, "the log of "+what, text)
	if !strings.Contains(text, "200 OK") || strings.Contains(text, " Body") {
		t.Errorf("%s -v=9 logs no request, or its body:\n%s", what, lastOf(text))
	}
}

// as is a ServiceAccount of its own for a verb, with the role that it prints.
func (s *secrets) as(t *testing.T, verb string, flags ...string) []string {
	t.Helper()
	manifest, account := filepath.Join(t.TempDir(), "role.yaml"), strings.Join(append([]string{verb}, flags...), "")
	role := s.must(t, append(append([]string{"prod", verb}, flags...), "--print-rbac")...)
	writeFile(t, manifest, strings.ReplaceAll(role, "\n  name: kubectl-prod-"+verb+"\n", "\n  name: least-"+account+"\n"))
	s.must(t, "apply", "-f", manifest)
	s.must(t, "create", "serviceaccount", account, "-n", "vault")
	s.must(t, "create", "clusterrolebinding", "least-"+account, "--clusterrole=least-"+account, "--serviceaccount=vault:"+account)
	if strings.Contains(role, "kind: Role\n") {
		s.must(t, "create", "rolebinding", "least-"+account, "-n", "kube-system", "--role=least-"+account, "--serviceaccount=vault:"+account)
		t.Cleanup(func() { // which t.Context does not see
			mustRun(t, []string{"KUBECONFIG=" + s.kubeconfig}, s.lookUp(t, "kubectl"), "delete", "role,rolebinding", "-n", "kube-system", "least-"+account)
		})
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	data, err := os.ReadFile(s.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, kubeconfig, string(data))
	token := strings.TrimSpace(s.must(t, "create", "token", account, "-n", "vault"))
	s.must(t, "--kubeconfig", kubeconfig, "config", "set-credentials", account, "--token", token)
	s.must(t, "--kubeconfig", kubeconfig, "config", "set-context", "--current", "--user", account)
	return []string{"KUBECONFIG=" + kubeconfig, "XDG_STATE_HOME=" + filepath.Join(filepath.Dir(kubeconfig), "state")}
}

// run runs a verb and holds that it may do all that it asks, and tells nothing
// planted: not on stdout, not in its log at its most talkative.
func (s *secrets) run(t *testing.T, env []string, args ...string) result {
	t.Helper()
	r := s.kubectl(t, env, append(append([]string{"prod"}, args...), "-v=9")...)
	what := strings.Join(args, " ")
	s.log(t, what, r.stderr)
	s.silent(t, what, r.stdout)
	if strings.Contains(r.stdout, "orbidden") && !slices.Contains(args, "--now") && args[0] != "backup-etcd" {
		t.Errorf("%s: something is forbidden\n%s", what, r.stdout)
	}
	if r.code > 1 {
		t.Errorf("%s: exit code %d\n%s", what, r.code, lastOf(r.stderr))
	}
	if r.stdout == "" {
		t.Errorf("%s says nothing", what)
	}
	return r
}

func (s *secrets) doctorTells(t *testing.T) {
	env := s.as(t, "doctor")
	for _, format := range []string{"", "wide", "json", "yaml", "name", "csv", "sarif", "junit", "markdown", "html", "prometheus"} {
		r := s.run(t, env, "doctor", "-o", format)
		if format == "json" && !strings.Contains(r.stdout, "secret-in-env") {
			t.Error("the password in a variable is not found at all")
		}
	}
	r := s.run(t, env, "doctor", "--now")
	if !regexp.MustCompile(`events\S* +forbidden`).MatchString(r.stdout) {
		t.Errorf("nothing tells that the events may not be read\n%s", r.stdout)
	}
	s.run(t, env, "doctor", "-n", "vault", "-o", "wide")
	s.run(t, env, "doctor", "-n", "vault", "-o", "html")
	env = s.as(t, "doctor", "--now")
	s.run(t, env, "doctor", "--now")
	s.run(t, env, "doctor", "--now", "-o", "json")
}

func (s *secrets) drainCheckTells(t *testing.T) {
	env := s.as(t, "drain-check")
	for _, format := range []string{"", "wide", "json", "yaml", "name", "markdown"} {
		s.run(t, env, "drain-check", "worker-a1", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "-o", format)
	}
	s.run(t, env, "drain-check", "--all", "--plan", "-o", "json")
}

func (s *secrets) hardenTells(t *testing.T) {
	env := s.as(t, "harden")
	for _, format := range []string{"", "wide", "json", "yaml", "kustomize"} {
		s.run(t, env, "harden", "-n", "vault", "--dry-run=server", "-o", format)
	}
	applied := s.run(t, env, "harden", "-n", "vault", "--yes", "--soak=0s", "--fix", "memory-limit-unset,pdb-missing,token-automounted,network-policy-missing")
	if !strings.Contains(applied.stdout, "applied") {
		t.Errorf("nothing was applied\n%s\n%s", applied.stdout, lastOf(applied.stderr))
	}
	history := s.kubectl(t, env, "prod", "harden", "history")
	s.silent(t, "history", history.stdout+history.stderr)
	undone := s.kubectl(t, env, "prod", "harden", "undo", "--all", "-v=9")
	s.silent(t, "undo", undone.stdout)
	s.log(t, "undo", undone.stderr)
	if undone.code != 0 {
		t.Errorf("undo: exit code %d\n%s%s", undone.code, undone.stdout, lastOf(undone.stderr))
	}
	kept := 0
	state := strings.TrimPrefix(env[1], "XDG_STATE_HOME=")
	err := filepath.WalkDir(state, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		kept++
		text, err := os.ReadFile(path)
		s.silent(t, "the journal", string(text))
		return err
	})
	if err != nil || kept == 0 {
		t.Errorf("the journal holds %d files: %v", kept, err)
	}
}

// backupTells: a snapshot holds every Secret, and what is told of it none.
func (s *secrets) backupTells(t *testing.T) {
	env, dir := s.as(t, "backup-etcd"), t.TempDir()
	for _, format := range []string{"table", "wide", "json", "yaml"} {
		r := s.run(t, env, append([]string{"backup-etcd", "--to", dir, "-o", format}, s.etcdFlags(t, "")...)...)
		if !regexp.MustCompile(`not counted: \d+ resources \(Forbidden\)`).MatchString(r.stdout) {
			t.Errorf("nothing tells that most objects may not be counted:\n%s", r.stdout)
		}
	}
	// Where all may be counted, Secrets are counted without being read: the audit
	// log tells.
	s.must(t, "create", "clusterrolebinding", "most-backup-etcd", "--clusterrole=cluster-admin", "--serviceaccount=vault:backup-etcd")
	defer s.must(t, "delete", "clusterrolebinding", "most-backup-etcd")
	s.run(t, env, append([]string{"backup-etcd", "--to", dir}, s.etcdFlags(t, "")...)...)
	kept, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(kept) == 0 {
		t.Fatalf("no backup is kept: %v", err)
	}
	snapshot, err := os.ReadFile(kept[0])
	if err != nil || !strings.Contains(string(snapshot), s.planted[0]) {
		t.Errorf("the snapshot does not hold %s, so that nothing was proved: %v", s.planted[0], err)
	}
	manifest, err := os.ReadFile(kept[0] + ".manifest.json")
	if err != nil {
		t.Error(err)
	}
	s.silent(t, "the manifest", string(manifest))
	for _, args := range [][]string{{"verify", kept[0]}, {"verify", kept[0], "-o", "yaml"}, {"restore-plan", kept[0]}, {"list", dir, "-o", "wide"}, {"list", dir, "-o", "json"}} {
		r := s.kubectl(t, env, append(append([]string{"prod", "backup-etcd"}, args...), "-v=9")...)
		s.silent(t, strings.Join(args, " "), r.stdout+r.stderr)
		if r.code != 0 || r.stdout == "" {
			t.Errorf("%s: exit code %d\n%s", strings.Join(args, " "), r.code, lastOf(r.stderr))
		}
	}
}

// event is what is asked of the audit log.
type event struct {
	RequestURI string `json:"requestURI"`
	Verb       string `json:"verb"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	ResponseObject json.RawMessage `json:"responseObject"`
}

// audited holds each ServiceAccount to what the API server has seen of it.
func (s *secrets) audited(t *testing.T) {
	asked := map[string]int{}
	secretLists := 0
	for _, e := range s.events(t) {
		verb := strings.TrimPrefix(e.User.Username, "system:serviceaccount:vault:")
		if verb == e.User.Username {
			continue
		}
		asked[verb]++
		reads := slices.Contains([]string{"get", "list", "watch"}, e.Verb)
		review := strings.HasSuffix(e.ObjectRef.Resource, "accessreviews")
		switch {
		case e.ResponseStatus.Code == 403 && verb == "doctor" && e.ObjectRef.Resource == "events":
			// Of doctor --now alone, whose role says so.
		case e.ResponseStatus.Code == 403 && verb == "backup-etcd" && strings.Contains(e.RequestURI, "?limit=1&"):
			// What may not be counted is told, and needs no right.
			continue
		case e.ResponseStatus.Code == 403:
			t.Errorf("%s was forbidden to %s %s", verb, e.Verb, e.RequestURI)
		case !reads && verb == "backup-etcd" && e.ObjectRef.Resource == "configmaps" && e.ObjectRef.Namespace == "kube-system":
			// The record of the backup.
		case !reads && !review && verb != "harden":
			t.Errorf("%s wrote: %s %s", verb, e.Verb, e.RequestURI)
		case !reads && !review && e.ObjectRef.Namespace != "vault":
			t.Errorf("%s wrote outside of the namespace: %s %s", verb, e.Verb, e.RequestURI)
		}
		if e.ObjectRef.Resource == "secrets" {
			secretLists++
			s.withoutBodies(t, verb, e)
		}
	}
	t.Logf("requests by verb: %v, of them %d LISTs of Secrets", asked, secretLists)
	for verb, least := range map[string]int{"doctor": 20, "doctor--now": 20, "drain-check": 20, "harden": 20, "backup-etcd": 12} {
		if asked[verb] < least {
			t.Errorf("the log has %d requests of %s only", asked[verb], verb)
		}
	}
	if secretLists == 0 {
		t.Error("the log has no LIST of Secrets: nothing was proved")
	}
}

// withoutBodies holds that an answer about Secrets had TLS certificates or
// metadata alone.
func (s *secrets) withoutBodies(t *testing.T, verb string, e event) {
	t.Helper()
	var answer struct {
		Kind  string `json:"kind"`
		Items []struct {
			Type string         `json:"type"`
			Data map[string]any `json:"data"`
		} `json:"items"`
	}
	if err := json.Unmarshal(e.ResponseObject, &answer); err != nil || e.Verb != "list" {
		t.Fatalf("%s: %s %s: %v", verb, e.Verb, e.RequestURI, err)
	}
	switch answer.Kind {
	case "PartialObjectMetadataList":
	case "SecretList":
		for _, item := range answer.Items {
			if item.Type != "kubernetes.io/tls" {
				t.Errorf("%s was sent the body of a Secret of type %s: %s", verb, item.Type, e.RequestURI)
			}
		}
	default:
		t.Errorf("%s was sent a %s: %s", verb, answer.Kind, e.RequestURI)
	}
	if answer.Kind != "SecretList" && strings.Contains(string(e.ResponseObject), `"data":`) {
		t.Errorf("%s was sent data: %s", verb, e.RequestURI)
	}
}

func (s *secrets) events(t *testing.T) []event {
	t.Helper()
	log := filepath.Join(filepath.Dir(s.kubeconfig), "logs", "audit.log")
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var events []event
	for line := range strings.Lines(string(text)) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", log, err))
		}
		events = append(events, e)
	}
	return events
}

// lastOf keeps a log at -v=9 out of the test's own.
func lastOf(text string) string { return text[max(0, len(text)-2000):] }
