package harden

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
)

// Owner is what writes an object, beside whoever runs harden.
type Owner struct {
	// Name is "Argo CD", "Helm" and so on; "" where nothing but people is known
	// to write it.
	Name string
	// Evidence says how it is known.
	Evidence string
	// Advice says where to make the change instead.
	Advice string
	// Unknown: nothing tells who writes the object. A person has to say.
	Unknown bool
}

// Foreign reports whether something else owns the object: what harden wrote
// would be set back, or break its next upgrade.
func (o Owner) Foreign() bool { return o.Name != "" }

func (o Owner) String() string {
	switch {
	case o.Unknown:
		return "unknown: " + o.Evidence
	case o.Name == "":
		return ""
	}
	return fmt.Sprintf("%s (%s)", o.Name, o.Evidence)
}

// mark is how an owner shows on an object.
type mark struct {
	owner, advice string
	// labels and annotations are keys, or prefixes where they end with "/".
	labels, annotations []string
	// managers are field managers, or prefixes where they end with "*".
	managers []string
}

const inGit = "change it in Git"

// marks are the owners that objects show, from their projects' documentation
// and code.
func marks() []mark {
	return []mark{
		{"Argo CD", inGit, []string{"argocd.argoproj.io/instance"}, []string{"argocd.argoproj.io/tracking-id"}, []string{"argocd-controller", "argocd-application-controller"}},
		{"Flux", inGit, []string{"kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"}, nil, []string{"kustomize-controller", "helm-controller"}},
		{"OLM", "change the Subscription's config, or the operator's own resource", []string{"olm.owner", "olm.owner.kind", "olm.managed", "operators.coreos.com/"}, nil, []string{"olm"}},
		{"k3s", "change the manifest or the chart on the server", nil, []string{"objectset.rio.cattle.io/owner-gvk"}, []string{"deploy@*"}},
		{"Fleet", inGit, nil, []string{"objectset.rio.cattle.io/id"}, []string{"fleetagent", "fleet-agent"}},
		{"Config Sync", inGit, []string{"configsync.gke.io/declared-version"}, []string{"configmanagement.gke.io/managed", "configsync.gke.io/resource-id"}, []string{"configsync", "configmanagement"}},
		{"kapp", "change the manifests that kapp deploys", []string{"kapp.k14s.io/app", "kapp.k14s.io/association"}, []string{"kapp.k14s.io/identity"}, []string{"kapp*"}},
		{"Terraform", "change the Terraform configuration", nil, nil, []string{"Terraform", "HashiCorp", "terraform*"}},
		{"Pulumi", "change the Pulumi program", nil, []string{"pulumi.com/"}, []string{"pulumi*"}},
		{"Crossplane", "change the composition", []string{"crossplane.io/composite"}, []string{"crossplane.io/external-name"}, []string{"apiextensions.crossplane.io/*", "crossplane*"}},
		{"the addon manager", "change the manifest on the control plane", []string{"addonmanager.kubernetes.io/mode"}, nil, nil},
	}
}

// Classify says what owns an object. above are the objects that its
// controller references lead to, the root last; applications are the names of
// Argo CD's Applications.
func Classify(obj *unstructured.Unstructured, above []*unstructured.Unstructured, applications []string) Owner {
	for _, o := range append([]*unstructured.Unstructured{obj}, above...) {
		if owner := marked(o, applications); owner.Foreign() {
			if o != obj {
				owner.Evidence += fmt.Sprintf(" on %s/%s, which owns it", strings.ToLower(o.GetKind()), o.GetName())
			}
			return owner
		}
	}
	if ref := metav1.GetControllerOf(obj); ref != nil {
		return controlled(ref, above)
	}
	if len(obj.GetManagedFields()) == 0 {
		return Owner{Unknown: true, Evidence: "it has no managedFields, which would tell who writes it"}
	}
	return Owner{}
}

// controlled is the owner by a controller's reference.
func controlled(ref *metav1.OwnerReference, above []*unstructured.Unstructured) Owner {
	kind, name := ref.Kind, ref.Name
	if len(above) > 0 {
		root := above[len(above)-1]
		kind, name = root.GetKind(), root.GetName()
	}
	if ref.Kind == "ClusterServiceVersion" {
		return Owner{Name: "OLM", Evidence: "ownerReference to ClusterServiceVersion " + ref.Name, Advice: "change the Subscription's config, or the operator's own resource"}
	}
	return Owner{
		Name:     fmt.Sprintf("the controller of %s %s", kind, name),
		Evidence: fmt.Sprintf("ownerReference to %s %s", ref.Kind, ref.Name),
		Advice:   fmt.Sprintf("change %s %s", kind, name),
	}
}

// marked is the owner that an object itself shows.
func marked(obj *unstructured.Unstructured, applications []string) Owner {
	labels, annotations := obj.GetLabels(), obj.GetAnnotations()
	for _, m := range marks() {
		evidence := cmp.Or(holds("label", labels, m.labels), holds("annotation", annotations, m.annotations), managedBy(obj, m.managers))
		if evidence != "" {
			return Owner{Name: m.owner, Evidence: evidence, Advice: m.advice}
		}
	}
	// Argo CD's other way to track: a label that many charts set as well.
	if instance := labels["app.kubernetes.io/instance"]; instance != "" && slices.Contains(applications, instance) {
		return Owner{Name: "Argo CD", Evidence: "label app.kubernetes.io/instance names Application " + instance, Advice: inGit}
	}
	if release := annotations["meta.helm.sh/release-name"]; release != "" || managedBy(obj, []string{"helm"}) != "" ||
		strings.EqualFold(labels["app.kubernetes.io/managed-by"], "helm") {
		return Owner{
			Name:     "Helm",
			Evidence: cmp.Or(prefixed("release ", release), managedBy(obj, []string{"helm"}), "label app.kubernetes.io/managed-by"),
			Advice:   "change the release's values",
		}
	}
	return Owner{}
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// holds names the first of the keys that is there, with its value.
func holds(what string, values map[string]string, keys []string) string {
	for _, key := range keys {
		for _, held := range sorted(values) {
			if held == key || strings.HasSuffix(key, "/") && strings.HasPrefix(held, key) {
				return strings.TrimSpace(fmt.Sprintf("%s %s %s", what, held, values[held]))
			}
		}
	}
	return ""
}

func sorted(values map[string]string) []string {
	var keys []string
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// managedBy names the first field manager of an object that is among these.
func managedBy(obj *unstructured.Unstructured, managers []string) string {
	for _, entry := range obj.GetManagedFields() {
		if entry.Subresource == "" && isManager(entry.Manager, managers) {
			return "field manager " + entry.Manager
		}
	}
	return ""
}

func isManager(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, prefix)
	})
}

// writer is who wrote a field, by the name of its manager.
type writer int

const (
	unknownWriter writer = iota
	person               // a tool in a person's hand
	ourselves
	controller
)

// writerOf tells a person's tools from controllers. The names are those that
// the tools send, or that the API server takes from their user agents.
func writerOf(manager string) writer {
	switch {
	case manager == change.FieldManager:
		return ourselves
	case isManager(manager, []string{
		"kubectl", "kubectl-*", "oc", "k9s", "Mozilla", "node-fetch", "Lens", "OpenLens", "headlamp*", "dashboard*", "rancher-desktop",
		"Apache-HttpClient", "before-first-apply",
	}):
		return person
	case isManager(manager, []string{"kube-controller-manager", "kubelet", "kube-scheduler", "vpa-*", "keda*"}) ||
		strings.HasSuffix(manager, "-controller") || strings.HasSuffix(manager, "-operator") || strings.Contains(manager, "controller-manager"):
		return controller
	}
	return unknownWriter
}

// setBack says what a person's tool does to what harden writes over it.
func setBack(manager string) string {
	switch manager {
	case "kubectl-client-side-apply", "before-first-apply":
		return "the next apply of that manifest sets it back: change it there too"
	case "kubectl":
		return "the next server-side apply of that manifest conflicts with it: change it there too"
	default:
		return "if a manifest holds it too, change it there as well"
	}
}
