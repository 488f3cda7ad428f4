package pki

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"
)

func server(names certutil.AltNames) Leaf {
	return Leaf{Name: "apiserver", Issuer: ClusterCA, Config: certutil.Config{
		CommonName: "kube-apiserver",
		AltNames:   names,
		Usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestALeafIsTrustedByItsAuthorityForItsNames(t *testing.T) {
	dir := Dir(t.TempDir())
	if err := dir.Ensure([]Leaf{server(Names([]string{"localhost"}, "127.0.0.1"))}); err != nil {
		t.Fatal(err)
	}
	leaf, err := certutil.CertsFromFile(dir.Cert("apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := certutil.NewPool(dir.Cert("ca"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if _, err := leaf[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := time.Until(leaf[0].NotAfter); left < 364*24*time.Hour || left > 366*24*time.Hour {
		t.Errorf("the certificate is valid for %s, want about a year", left)
	}
}

func TestEnsureKeepsWhatIsThere(t *testing.T) {
	dir := Dir(t.TempDir())
	leaves := []Leaf{server(Names([]string{"localhost"}))}
	if err := dir.Ensure(leaves); err != nil {
		t.Fatal(err)
	}
	paths := []string{dir.Cert("ca"), dir.Cert("apiserver"), dir.Key("sa"), dir.Cert("etcd/ca")}
	before := map[string][]byte{}
	for _, path := range paths {
		before[path] = read(t, path)
	}
	if err := dir.Ensure(leaves); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if !bytes.Equal(before[path], read(t, path)) {
			t.Errorf("%s was made anew", filepath.Base(path))
		}
	}
}

func TestALeafThatLacksANameIsMadeAnew(t *testing.T) {
	dir := Dir(t.TempDir())
	if err := dir.Ensure([]Leaf{server(Names([]string{"localhost"}))}); err != nil {
		t.Fatal(err)
	}
	if err := dir.Ensure([]Leaf{server(Names([]string{"localhost"}, "10.0.0.7"))}); err != nil {
		t.Fatal(err)
	}
	leaf, err := certutil.CertsFromFile(dir.Cert("apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf[0].VerifyHostname("10.0.0.7"); err != nil {
		t.Error(err)
	}
}

func TestAKubeconfigFollowsItsServerAndKeepsItsCertificate(t *testing.T) {
	dir := Dir(t.TempDir())
	if err := dir.Ensure(nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	admin := User{Name: "kubernetes-admin", Groups: []string{"system:masters"}}
	var certs [][]byte
	for _, url := range []string{"https://127.0.0.1:1", "https://127.0.0.1:2"} {
		if err := dir.EnsureKubeconfig(path, Target{Context: "prod-demo", Server: url}, admin); err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.LoadFromFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := config.Clusters["prod-demo"].Server; got != url {
			t.Errorf("server is %s, want %s", got, url)
		}
		certs = append(certs, config.AuthInfos[admin.Name].ClientCertificateData)
	}
	if !bytes.Equal(certs[0], certs[1]) {
		t.Error("the client certificate changed")
	}
}
