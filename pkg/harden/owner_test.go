package harden

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := utiljson.Unmarshal(data, &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

func TestClassify(t *testing.T) {
	const byApply = `managedFields: [{manager: kubectl-client-side-apply, operation: Update}]`
	for name, test := range map[string]struct {
		metadata     string
		above        []string
		applications []string
		owner        string // as it is told
	}{
		"a person's, by kubectl apply":                       {metadata: `{` + byApply + `}`},
		"without managedFields nobody is known":              {metadata: `{}`, owner: "unknown: it has no managedFields, which would tell who writes it"},
		"Argo CD, by its tracking annotation":                {metadata: `{annotations: {argocd.argoproj.io/tracking-id: "shop:apps/Deployment:shop/web"}, ` + byApply + `}`, owner: "Argo CD (annotation argocd.argoproj.io/tracking-id shop:apps/Deployment:shop/web)"},
		"Argo CD, by its manager":                            {metadata: `{managedFields: [{manager: argocd-controller, operation: Apply}]}`, owner: "Argo CD (field manager argocd-controller)"},
		"Argo CD, by the label of an Application":            {metadata: `{labels: {app.kubernetes.io/instance: shop}, ` + byApply + `}`, applications: []string{"shop"}, owner: "Argo CD (label app.kubernetes.io/instance names Application shop)"},
		"the instance label alone is any chart's":            {metadata: `{labels: {app.kubernetes.io/instance: shop}, ` + byApply + `}`, applications: []string{"other"}},
		"Flux, by a Kustomization's label":                   {metadata: `{labels: {kustomize.toolkit.fluxcd.io/name: shop, kustomize.toolkit.fluxcd.io/namespace: flux-system}}`, owner: "Flux (label kustomize.toolkit.fluxcd.io/name shop)"},
		"Flux rather than Helm, by a HelmRelease's label":    {metadata: `{labels: {helm.toolkit.fluxcd.io/name: shop, app.kubernetes.io/managed-by: Helm}, annotations: {meta.helm.sh/release-name: shop}}`, owner: "Flux (label helm.toolkit.fluxcd.io/name shop)"},
		"Helm, by its release":                               {metadata: `{labels: {app.kubernetes.io/managed-by: Helm}, annotations: {meta.helm.sh/release-name: shop}}`, owner: "Helm (release shop)"},
		"Helm 4, by its manager":                             {metadata: `{managedFields: [{manager: helm, operation: Apply}]}`, owner: "Helm (field manager helm)"},
		"OLM, by its label":                                  {metadata: `{labels: {olm.owner: etcd.v0.9, olm.owner.kind: ClusterServiceVersion}}`, owner: "OLM (label olm.owner etcd.v0.9)"},
		"OLM, by the operator's label":                       {metadata: `{labels: {operators.coreos.com/etcd.operators: ""}}`, owner: "OLM (label operators.coreos.com/etcd.operators)"},
		"OLM, by a ClusterServiceVersion":                    {metadata: `{ownerReferences: [{apiVersion: operators.coreos.com/v1alpha1, kind: ClusterServiceVersion, name: etcd.v0.9, controller: true}]}`, owner: "OLM (ownerReference to ClusterServiceVersion etcd.v0.9)"},
		"an operator's, by its reference":                    {metadata: `{ownerReferences: [{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, name: main, controller: true}], ` + byApply + `}`, owner: "the controller of Prometheus main (ownerReference to Prometheus main)"},
		"a reference that controls nothing is no owner":      {metadata: `{ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: anchor}], ` + byApply + `}`},
		"the root of the references is what to change":       {metadata: `{ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, controller: true}]}`, above: []string{`{kind: ReplicaSet, metadata: {name: web-1}}`, `{kind: Deployment, metadata: {name: web}}`}, owner: "the controller of Deployment web (ownerReference to ReplicaSet web-1)"},
		"Argo CD owns what it owns the owner of":             {metadata: `{ownerReferences: [{kind: Rollout, name: web, controller: true}]}`, above: []string{`{kind: Rollout, metadata: {name: web, annotations: {argocd.argoproj.io/tracking-id: a}}}`}, owner: "Argo CD (annotation argocd.argoproj.io/tracking-id a on rollout/web, which owns it)"},
		"kapp":                                               {metadata: `{labels: {kapp.k14s.io/app: "1"}}`, owner: "kapp (label kapp.k14s.io/app 1)"},
		"Fleet":                                              {metadata: `{annotations: {objectset.rio.cattle.io/id: default-shop}}`, owner: "Fleet (annotation objectset.rio.cattle.io/id default-shop)"},
		"k3s's own manifests, which share a prefix of Fleet": {metadata: `{annotations: {objectset.rio.cattle.io/owner-gvk: "k3s.cattle.io/v1, Kind=Addon", objectset.rio.cattle.io/id: ""}}`, owner: "k3s (annotation objectset.rio.cattle.io/owner-gvk k3s.cattle.io/v1, Kind=Addon)"},
		"Config Sync":                                        {metadata: `{annotations: {configmanagement.gke.io/managed: enabled}}`, owner: "Config Sync (annotation configmanagement.gke.io/managed enabled)"},
		"Terraform":                                          {metadata: `{managedFields: [{manager: Terraform, operation: Apply}]}`, owner: "Terraform (field manager Terraform)"},
		"Terraform's older provider":                         {metadata: `{managedFields: [{manager: HashiCorp, operation: Update}]}`, owner: "Terraform (field manager HashiCorp)"},
		"Pulumi":                                             {metadata: `{managedFields: [{manager: pulumi-kubernetes-7f3a, operation: Apply}]}`, owner: "Pulumi (field manager pulumi-kubernetes-7f3a)"},
		"the addon manager":                                  {metadata: `{labels: {addonmanager.kubernetes.io/mode: Reconcile}}`, owner: "the addon manager (label addonmanager.kubernetes.io/mode Reconcile)"},
		"a manager of the status alone owns nothing":         {metadata: `{managedFields: [{manager: kubectl-create, operation: Update}, {manager: argocd-controller, operation: Update, subresource: status}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			obj := parse(t, "{apiVersion: apps/v1, kind: Deployment, metadata: "+test.metadata+"}")
			var above []*unstructured.Unstructured
			for _, text := range test.above {
				above = append(above, parse(t, text))
			}
			owner := Classify(obj, above, test.applications)
			if owner.String() != test.owner {
				t.Errorf("owner %q, want %q", owner, test.owner)
			}
			if owner.Foreign() && owner.Advice == "" {
				t.Error("it does not say where to make the change instead")
			}
		})
	}
}

func TestWriterOf(t *testing.T) {
	for manager, want := range map[string]writer{
		"kubectl": person, "kubectl-client-side-apply": person, "kubectl-edit": person, "kubectl-patch": person, "kubectl-create": person,
		"kubectl-scale": person, "kubectl-rollout": person, "k9s": person, "Mozilla": person, "before-first-apply": person,
		"prod-harden":             ourselves,
		"kube-controller-manager": controller, "my-operator": controller, "vpa-updater": controller, "cluster-controller-manager": controller, "flagger-controller": controller,
		"deploy-bot": unknownWriter, "python-requests": unknownWriter, "": unknownWriter,
	} {
		if got := writerOf(manager); got != want {
			t.Errorf("%s: %d, want %d", manager, got, want)
		}
	}
}
