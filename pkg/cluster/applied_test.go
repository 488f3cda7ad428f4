package cluster

import (
	"strings"
	"testing"
)

func TestWhoWritesReplicasIsKnown(t *testing.T) {
	const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, META}
spec: {SPEC template: {spec: {containers: [{name: a, image: a}]}}}
`
	for name, test := range map[string]struct {
		live       bool
		meta, spec string
		want       string
	}{
		"a manifest that sets it":       {false, "", "replicas: 2,", "the manifest"},
		"a manifest that does not":      {false, "", "", ""},
		"live, everything has a count":  {true, "", "replicas: 2,", ""},
		"kubectl apply":                 {true, `annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"replicas":2}}'}`, "replicas: 2,", "kubectl apply"},
		"kubectl apply without a count": {true, `annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"paused":true}}'}`, "replicas: 2,", ""},
		"server-side apply": {true, `managedFields: [{manager: flux, operation: Apply, fieldsV1: {"f:spec": {"f:replicas": {}}}}]`, "replicas: 2,",
			"server-side apply by flux"},
		"an update, which owns defaults too": {true, `managedFields: [{manager: kubectl, operation: Update, fieldsV1: {"f:spec": {"f:replicas": {}}}}]`, "replicas: 2,", ""},
		"a scaler":                           {true, `managedFields: [{manager: hpa, operation: Apply, subresource: scale, fieldsV1: {"f:spec": {"f:replicas": {}}}}]`, "replicas: 2,", ""},
		"an annotation that somebody forged": {true, `annotations: {prod.kubectl.io/replicas-applied-by: me}`, "replicas: 2,", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("META", test.meta, "SPEC", test.spec).Replace(deployment)
			s, errs := Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(text), AsLive: test.live}.Load(t.Context())
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if got := s.Workloads()[0].ReplicasBy; got != test.want {
				t.Errorf("replicas are written by %q, want %q", got, test.want)
			}
		})
	}
}
