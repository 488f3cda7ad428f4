package cluster

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestOfASecretOnlyTheCertificateIsKept(t *testing.T) {
	for name, entries := range map[string]string{
		"data":                  "data: {tls.crt: Y3J0, tls.key: a2V5, ca.crt: Y2E=}",
		"stringData":            "stringData: {tls.crt: crt, tls.key: key}",
		"stringData over data":  "data: {tls.crt: b2xk}\nstringData: {tls.crt: crt, password: key}",
		"no certificate at all": "data: {tls.key: a2V5}",
	} {
		t.Run(name, func(t *testing.T) {
			s := fromText(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: tls}\ntype: kubernetes.io/tls\n"+entries)
			secret := s.TLSSecrets[0]
			if len(secret.StringData) > 0 || slices.ContainsFunc(slices.Collect(maps.Keys(secret.Data)), func(key string) bool { return key != "tls.crt" }) {
				t.Errorf("more than the certificate was kept: %v", secret)
			}
			if strings.Contains(entries, "tls.crt") && string(secret.Data["tls.crt"]) != "crt" {
				t.Errorf("tls.crt is %q", secret.Data["tls.crt"])
			}
		})
	}
}

func TestManifestsTellOnlyOfNamespacesThatTheyDeclare(t *testing.T) {
	text := "apiVersion: v1\nkind: Namespace\nmetadata: {name: declared}\n" +
		"---\napiVersion: v1\nkind: Namespace\nmetadata: {name: empty}\n" +
		"---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: declared}\n" +
		"---\napiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: elsewhere}\n"
	if got := strings.Join(fromText(t, text).PopulatedNamespaces(), " "); got != "declared" {
		t.Errorf("populated: %s", got)
	}
}

func fromText(t *testing.T, text string) *Snapshot {
	t.Helper()
	s, errs := Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(text), Namespace: "shop"}.Load(t.Context())
	for _, err := range errs {
		t.Fatal(err)
	}
	return s
}
