package cluster

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// PodTemplates are the custom resources that hold a pod template, of whatever
// kind: those that are known to, and those whose definition's schema has room
// for one. Each such kind is listed once, after all others; what runs pods
// among its objects becomes a [Workload].
const PodTemplates Kind = "custom resources (pod templates)"

const (
	// mostTemplateKinds and mostTemplates bound that read. A cluster has a
	// dozen such kinds at most; of one of them, Jobs of a queue may be many.
	mostTemplateKinds = 50
	mostTemplates     = 2 * pageSize
)

// knownTemplates are kinds that hold pod templates in clusters of today. They
// are read also where their definitions may not be, and the role that is
// printed allows them.
func knownTemplates() []schema.GroupResource {
	var all []schema.GroupResource
	for group, resources := range map[string]string{
		"apps.kruise.io":           "clonesets daemonsets statefulsets advancedcronjobs broadcastjobs",
		"argoproj.io":              "analysisruns analysistemplates experiments rollouts",
		"batch.volcano.sh":         "jobs",
		"jobset.x-k8s.io":          "jobsets",
		"keda.sh":                  "scaledjobs",
		"kubeflow.org":             "jaxjobs mpijobs notebooks paddlejobs pytorchjobs tfjobs xgboostjobs",
		"leaderworkerset.x-k8s.io": "leaderworkersets",
		"ray.io":                   "rayclusters rayjobs rayservices",
		"serving.knative.dev":      "configurations revisions services",
		"sparkoperator.k8s.io":     "sparkapplications scheduledsparkapplications",
		"trainer.kubeflow.org":     "trainingruntimes trainjobs",
	} {
		for resource := range strings.FieldsSeq(resources) {
			all = append(all, schema.GroupResource{Group: group, Resource: resource})
		}
	}
	return sortedResources(all)
}

func sortedResources(all []schema.GroupResource) []schema.GroupResource {
	slices.SortFunc(all, func(a, b schema.GroupResource) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Resource, b.Resource))
	})
	return slices.Compact(all)
}

// holdsPatterns reports whether a group's objects hold pods' shapes as patterns
// to compare with, not as pods to run.
func holdsPatterns(group string) bool {
	return group == "admissionregistration.k8s.io" || group == "kyverno.io" || strings.HasSuffix(group, ".kyverno.io") || strings.HasSuffix(group, ".gatekeeper.sh")
}

// holdsPatches reports whether a group's templates only change pods that its
// operator makes of its own: those are judged as they run. Elastic's do.
func holdsPatches(group string) bool { return strings.HasSuffix(group, ".k8s.elastic.co") }

// readTemplates reads the custom resources that hold pod templates. It comes
// after the LISTs and shares what they read.
func (r *reader) readTemplates(ctx context.Context) Coverage {
	coverage := Coverage{Kind: PodTemplates, State: Read}
	if r.failure != nil {
		return coverage.ended(fmt.Errorf("discovery: %w", r.failure))
	}
	if !r.servesCustom() {
		return coverage
	}
	kinds, gap := r.templateKinds(ctx)
	found := make([][]*unstructured.Unstructured, len(kinds))
	coverages := make([]Coverage, len(kinds))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, kind := range kinds {
		group.Go(func() error {
			found[i], coverages[i] = r.readTemplate(ctx, kind)
			return nil // a kind that fails does not end the others
		})
	}
	_ = group.Wait()
	worst := gap
	for i, c := range coverages {
		for _, object := range found[i] {
			r.snapshot.shaped = append(r.snapshot.shaped, shapedWorkloads(object, "")...)
		}
		coverage.Objects += c.Objects
		if c.Reason != "" && c.State != Absent && (worst.Reason == "" || c.State == Forbidden) {
			worst = c
		}
	}
	if worst.Reason != "" {
		coverage.State, coverage.Allow = worst.State, worst.Allow
		coverage.Reason = string(worst.Kind) + ": " + worst.Reason
	}
	return coverage
}

// servesCustom reports whether the server has anything but what each has.
func (r *reader) servesCustom() bool {
	builtIn := readableTypes()
	for resource := range r.served {
		if !builtIn.IsGroupRegistered(resource.Group) && resource.Group != "apiextensions.k8s.io" && resource.Group != "apiregistration.k8s.io" {
			return true
		}
	}
	return false
}

// templateKinds are the kinds that are served and hold, or may hold, a pod
// template. Where the definitions could not be read, these are the known ones,
// and gap says what is missing.
func (r *reader) templateKinds(ctx context.Context) (kinds []schema.GroupResource, gap Coverage) {
	definitions := r.coverage(Definitions)
	if definitions.State == Unasked {
		at := slices.IndexFunc(readings(), func(reading reading) bool { return reading.kind == Definitions })
		definitions = r.read(ctx, readings()[at])
		r.cover(Definitions, definitions)
	}
	if definitions.State != Read {
		gap = definitions
	}
	candidates := knownTemplates()
	for _, definition := range r.snapshot.Definitions {
		if definition.holdsTemplates() && !holdsPatterns(definition.Spec.Group) && !holdsPatches(definition.Spec.Group) {
			candidates = append(candidates, schema.ParseGroupResource(definition.Name))
		}
	}
	for _, candidate := range sortedResources(candidates) {
		if _, served := r.served[candidate]; served {
			kinds = append(kinds, candidate)
		}
	}
	if len(kinds) > mostTemplateKinds {
		gap = Coverage{Kind: PodTemplates, State: Failed, Reason: fmt.Sprintf("%d kinds may hold pod templates, and the first %d were read", len(kinds), mostTemplateKinds)}
		kinds = kinds[:mostTemplateKinds]
	}
	return kinds, gap
}

// readTemplate reads one kind, unless the LISTs have read it already.
func (r *reader) readTemplate(ctx context.Context, resource schema.GroupResource) ([]*unstructured.Unstructured, Coverage) {
	kind := Kind(resource.String())
	var objects []*unstructured.Unstructured
	for _, reading := range readings() {
		if reading.kind == kind && reading.form == untyped && r.coverage(kind).State == Read {
			reading.each(r.snapshot, func(obj metav1.Object) {
				if object, ok := obj.(*unstructured.Unstructured); ok {
					objects = append(objects, object)
				}
			})
			return objects, Coverage{Kind: kind, State: Read, Objects: len(objects)}
		}
	}
	reading := custom(kind, "", "", func(*Snapshot) *[]*unstructured.Unstructured { return &objects })
	reading.most = mostTemplates
	coverage := r.read(ctx, reading)
	return objects, coverage
}

// templateRules are the RBAC rules under which the read is allowed, as
// resources by group.
func templateRules(resources map[string][]string) {
	for _, known := range knownTemplates() {
		resources[known.Group] = append(resources[known.Group], known.Resource)
	}
	resources["apiextensions.k8s.io"] = append(resources["apiextensions.k8s.io"], "customresourcedefinitions")
}

// holdsTemplates reports whether objects of the definition may hold a pod
// template, and stand in a namespace, as all that runs pods does.
func (d *Definition) holdsTemplates() bool {
	return d.Spec.Scope == "Namespaced" && slices.ContainsFunc(d.Spec.Versions, func(v DefinitionVersion) bool {
		return v.Served && bool(v.Schema)
	})
}

// TemplateSchema is what is kept of a version's schema: whether an object's
// spec has room for a pod template.
type TemplateSchema bool

// UnmarshalJSON searches a schema, most of which are large.
func (s *TemplateSchema) UnmarshalJSON(raw []byte) error {
	*s = false
	if !bytes.Contains(raw, []byte(`"containers"`)) && !bytes.Contains(raw, []byte(`"x-kubernetes-preserve-unknown-fields"`)) {
		return nil
	}
	var version struct {
		Root schemaNode `json:"openAPIV3Schema"`
	}
	if err := json.Unmarshal(raw, &version); err != nil {
		return err
	}
	spec := version.Root.Properties["spec"]
	*s = TemplateSchema(spec != nil && (spec.isOpen() || spec.holdsTemplate(0)))
	return nil
}

// schemaNode is a part of a structural schema, as far as the search reads it.
type schemaNode struct {
	Properties           map[string]*schemaNode `json:"properties"`
	Items                *schemaNode            `json:"items"`
	AdditionalProperties *mapValue              `json:"additionalProperties"`
	Open                 bool                   `json:"x-kubernetes-preserve-unknown-fields"`
}

// mapValue is the schema of a map's values; it may be a mere true.
type mapValue struct{ schemaNode }

// UnmarshalJSON takes true for no schema at all.
func (v *mapValue) UnmarshalJSON(raw []byte) error {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	return json.Unmarshal(raw, &v.schemaNode)
}

// isOpen reports whether anything may stand there.
func (n *schemaNode) isOpen() bool { return n.Open && len(n.Properties) == 0 }

// holdsTemplate searches for a pod's spec, which is known by containers that
// have an image, and for a template of which the schema says nothing. Containers
// at the top are none: they are what an operator adds to pods of its own making,
// as of a Prometheus.
func (n *schemaNode) holdsTemplate(depth int) bool {
	if n == nil || depth > maxDepth {
		return false
	}
	if containers := n.Properties["containers"]; containers != nil && depth > 0 && containers.Items != nil &&
		(containers.Items.isOpen() || containers.Items.Properties["image"] != nil) {
		return true
	}
	for name, property := range n.Properties {
		if property != nil && property.isOpen() && strings.HasSuffix(strings.ToLower(name), "template") || property.holdsTemplate(depth+1) {
			return true
		}
	}
	if n.AdditionalProperties != nil && n.AdditionalProperties.holdsTemplate(depth+1) {
		return true
	}
	return n.Items.holdsTemplate(depth + 1)
}
