package system

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

func find(t *testing.T, yaml string) map[string]report.System {
	t.Helper()
	s, errs := cluster.Manifests{Filenames: []string{"-"}, Stdin: strings.NewReader(yaml), Time: time.Now(), AsLive: true}.Load(t.Context())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	found := map[string]report.System{}
	for _, item := range Find(s).Items {
		found[item.Name] = item
	}
	return found
}

func TestSystemsAreRecognisedByTheirImages(t *testing.T) {
	found := find(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: any-name, namespace: backup, uid: d}
spec: {replicas: 2, template: {spec: {containers: [{name: app, image: "registry.example.com:5000/mirror/velero/velero:v1.18.0@sha256:0000000000000000000000000000000000000000000000000000000000000000"}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: backup, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: any-name, uid: d, controller: true}]}
spec: {containers: [{name: app, image: velero/velero:v1.18.0}]}
status: {conditions: [{type: Ready, status: "True"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: velero, namespace: other}
spec: {template: {spec: {containers: [{name: app, image: "someone/not-velero:1"}]}}}`)
	velero := found["Velero"]
	if velero.Version != "v1.18.0" || velero.Health != "sick, 1 of 2 pods ready" || len(velero.Evidence) != 1 {
		t.Errorf("Velero is %+v", velero)
	}
	if len(found) != 2 {
		t.Errorf("found more than Kubernetes and Velero: %+v", found)
	}
}

func TestDistributions(t *testing.T) {
	for want, node := range map[string]string{
		"K3s":        `status: {nodeInfo: {kubeletVersion: v1.33.1+k3s1}}`,
		"RKE2":       `status: {nodeInfo: {kubeletVersion: v1.33.1+rke2r1}}`,
		"EKS":        `status: {nodeInfo: {kubeletVersion: v1.33.1-eks-1234}}`,
		"GKE":        `status: {nodeInfo: {kubeletVersion: v1.33.1-gke.100}}`,
		"Talos":      `status: {nodeInfo: {osImage: Talos (v1.9.0)}}`,
		"kind":       `spec: {providerID: "kind://docker/kind/control-plane"}`,
		"Kubernetes": `status: {nodeInfo: {kubeletVersion: v1.33.1}}`,
	} {
		t.Run(want, func(t *testing.T) {
			if found := find(t, "apiVersion: v1\nkind: Node\nmetadata: {name: worker}\n"+node); found[want].Name != want {
				t.Errorf("found %+v", found)
			}
		})
	}
	t.Run("kubeadm", func(t *testing.T) {
		if found := find(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubeadm-config, namespace: kube-system}"); found["kubeadm"].Name == "" {
			t.Errorf("found %+v", found)
		}
	})
	t.Run("kubeadm, by its static pods", func(t *testing.T) { // where ConfigMaps are not read
		pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd-a, namespace: %s, annotations: {kubeadm.kubernetes.io/etcd.advertise-client-urls: \"https://10.0.0.1:2379\"}}"
		if found := find(t, fmt.Sprintf(pod, "kube-system")); found["kubeadm"].Name == "" {
			t.Errorf("found %+v", found)
		}
		if found := find(t, fmt.Sprintf(pod, "elsewhere")); found["kubeadm"].Name != "" {
			t.Errorf("found %+v", found)
		}
	})
}

func TestEverySystemCanBeRecognised(t *testing.T) {
	seen := map[string]bool{}
	for _, system := range known() {
		if seen[system.Name] || system.Effect == "" || len(system.APIs)+len(system.Images) == 0 {
			t.Errorf("%+v is declared twice, or not in full", system)
		}
		seen[system.Name] = true
	}
}
