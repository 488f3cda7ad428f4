//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// module is a system's own Go module, of which the test takes the definitions of
// its custom resources. It is unpacked, and nothing of it is compiled: so no
// go.mod has to agree with a dozen others, and no line of theirs runs here. The
// sum is that of go.sum; another content under the same version is refused.
type module struct{ path, version, sum, definitions string }

func modules() []module {
	return []module{
		{"github.com/argoproj/argo-cd/v3", "v3.5.7", "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=", "manifests/crds/appl*-crd.yaml"},
		{"github.com/argoproj/argo-rollouts", "v1.8.5", "h1:x+WjkwgjV89sc/QJ0c0cBrz5HAcriWCoQn6ptOxoElU=", "manifests/crds/rollout-crd.yaml"},
		{"github.com/cert-manager/cert-manager", "v1.21.2", "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=", "deploy/crds/cert-manager.io_*.yaml"},
		{"github.com/chaos-mesh/chaos-mesh", "v0.9.1-0.20260902003049-47411975a8cb", "h1:0TeWmCELKreoLAXuoPaO2qpJe73foDgOoyU3fdKQN4A=", "config/crd/bases/chaos-mesh.org_[npsw]*.yaml"},
		{"github.com/elastic/cloud-on-k8s/v3", "v3.5.0", "h1:sR4oj+gNnwI9hgsKhBwjUlx+5F2T/kND40hrzaogtek=", "config/crds/v1/resources/elasticsearch.k8s.elastic.co_*.yaml"},
		{"github.com/external-secrets/external-secrets", "v1.3.2", "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=", "config/crds/bases/external-secrets.io_externalsecrets.yaml"},
		{"github.com/fluxcd/kustomize-controller", "v1.9.6", "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=", "config/crd/bases/*.yaml"},
		{"github.com/kedacore/keda/v2", "v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=", "config/crd/bases/keda.sh_scaled*.yaml"},
		{"github.com/kubeflow/trainer/v2", "v2.0.0", "h1:mnQSR9iPKItxyUR8mq66XsmxqKNVHwr9YYOB7BTU9dU=", "manifests/base/crds/trainer*.yaml"},
		{"github.com/kyverno/kyverno", "v1.19.1", "h1:/MkgFii3/VlQfKR1JpC9tVwNNVNQTt2S4U6qCsafsTU=", "config/crds/kyverno/kyverno.io_*policies.yaml"},
		{"github.com/prometheus-operator/prometheus-operator", "v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=", "example/prometheus-operator-crd/*.yaml"},
		{"github.com/vmware-tanzu/velero", "v1.18.3", "h1:9uwN5yxTWQl9PsF5ljX4xiG+7VIq3I9mxOQ0DyyZ31A=", "config/crd/v1/bases/*.yaml"},
		{"istio.io/api", "v1.31.4", "h1:AcnncYrlDj1PJkym7h88Gggkef4MAra8QpGaXRMsr+E=", "kubernetes/customresourcedefinitions.gen.yaml"},
		{"k8s.io/autoscaler/vertical-pod-autoscaler", "v1.8.1", "h1:Pe8bV1wozN4gOKO1rleiIY5alIyAXN+DnXDbXQcL4fI=", "deploy/vpa-v1-crd-gen.yaml"},
		{"knative.dev/serving", "v0.51.0", "h1:yN2Q7eYqJgoPfZkATjoBZyGbZ2P1Qhns9HIMU4mF+to=", "config/core/300-resources/*.yaml"},
		{"sigs.k8s.io/gateway-api", "v1.6.3", "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=", "config/crd/standard/gateway.networking.k8s.io_[ghr]*s.yaml"},
		{"sigs.k8s.io/karpenter", "v1.12.1", "h1:B73nBcw+va8eRzX3OXLexcw6vaGZuLHlN9iMksK2oa0=", "pkg/apis/crds/*.yaml"},
	}
}

// running are the systems' images, each with the version that doctor must tell.
func running() map[string][2]string {
	return map[string][2]string{
		"Prometheus":              {"quay.io/prometheus/prometheus", "v3.5.0"},
		"Alertmanager":            {"quay.io/prometheus/alertmanager", "v0.28.1"},
		"Fluentd":                 {"docker.io/fluent/fluentd-kubernetes-daemonset", "v1.18-debian"},
		"Fluent Bit":              {"cr.fluentbit.io/fluent/fluent-bit", "4.0.7"},
		"Elasticsearch":           {"docker.elastic.co/eck/eck-operator", "3.5.0"},
		"Loki":                    {"docker.io/grafana/loki", "3.5.0"},
		"Jaeger":                  {"docker.io/jaegertracing/jaeger", "2.9.0"},
		"Zipkin":                  {"docker.io/openzipkin/zipkin", "3.5"},
		"OpenTelemetry":           {"ghcr.io/open-telemetry/opentelemetry-operator/opentelemetry-operator", "v0.131.0"},
		"Tempo":                   {"docker.io/grafana/tempo", "2.8.1"},
		"Velero":                  {"docker.io/velero/velero", "v1.18.3"},
		"CloudNativePG":           {"ghcr.io/cloudnative-pg/cloudnative-pg", "1.27.0"},
		"Chaos Mesh":              {"ghcr.io/chaos-mesh/chaos-mesh", "v2.8.0"},
		"Litmus":                  {"docker.io/litmuschaos/chaos-operator", "3.20.0"},
		"Argo CD":                 {"quay.io/argoproj/argocd", "v3.5.7"},
		"Flux":                    {"ghcr.io/fluxcd/kustomize-controller", "v1.9.6"},
		"Istio":                   {"docker.io/istio/pilot", "1.31.4"},
		"Linkerd":                 {"cr.l5d.io/linkerd/controller", "edge-25.8.1"},
		"Knative":                 {"gcr.io/knative-releases/knative.dev/serving/cmd/controller", "v1.21.0"},
		"OpenFaaS":                {"ghcr.io/openfaas/gateway", "0.27.12"},
		"Kubeflow":                {"ghcr.io/kubeflow/trainer/trainer-controller-manager", "v2.0.0"},
		"KEDA":                    {"ghcr.io/kedacore/keda", "2.21.0"},
		"Vertical Pod Autoscaler": {"registry.k8s.io/autoscaling/vpa-recommender", "1.8.1"},
		"Cluster Autoscaler":      {"registry.k8s.io/autoscaling/cluster-autoscaler", "v1.37.0"},
		"Karpenter":               {"public.ecr.aws/karpenter/controller", "1.12.1"},
		"cert-manager":            {"quay.io/jetstack/cert-manager-controller", "v1.21.2"},
		"Argo Rollouts":           {"quay.io/argoproj/argo-rollouts", "v1.8.5"},
		"Kyverno":                 {"ghcr.io/kyverno/kyverno", "v1.19.1"},
		"Gatekeeper":              {"docker.io/openpolicyagent/gatekeeper", "v3.20.0"},
		"External Secrets":        {"ghcr.io/external-secrets/external-secrets", "v1.3.2"},
	}
}

// TestSystems holds doctor to the systems around a cluster: with their own
// definitions, and objects as their controllers leave them, healthy and sick.
//
// Each file below testdata/systems says in its comments what doctor must say:
// "without: PRACTICE" is found before the file's objects are there; "not:
// PRACTICE [OBJECT]" is not found when they are, and "is: PRACTICE OBJECT" is.
func TestSystems(t *testing.T) {
	c := up(t, "e2e-systems")
	a := newApplier(t, c)
	for _, m := range modules() {
		a.definitions(t, filepath.Join(m.download(t), m.definitions))
	}
	a.definitions(t, filepath.Join("testdata", "systems", "definitions", "*.yaml"))
	a.established(t, schema.GroupKind{Group: "velero.io", Kind: "Backup"})
	a.applyFile(t, filepath.Join("testdata", "systems", "users.yaml"))
	eventually(t, time.Minute, func() error { return c.podsReady(t, "app")() })
	t.Run("before the systems are there", func(t *testing.T) {
		d, _ := c.doctor(t, nil)
		for _, file := range stageFiles(t, "healthy") {
			for _, line := range told(t, file, "without") {
				if !hasPractice(d, line) {
					t.Errorf("%s: %s is not found without the system", filepath.Base(file), line)
				}
			}
		}
	})
	for _, stage := range []string{"healthy", "sick"} {
		t.Run(stage, func(t *testing.T) {
			for _, file := range stageFiles(t, stage) {
				a.applyFile(t, file)
			}
			a.run(t, stage == "sick")
			eventually(t, 2*time.Minute, func() error { return recognised(t, c, stage) })
			d, r := c.doctor(t, nil)
			if r.code > 1 {
				t.Fatalf("exit code %d\n%s", r.code, r.stderr)
			}
			for _, n := range d.NotChecked {
				if n.State == "forbidden" || n.State == "failed" && !strings.HasPrefix(n.Subject, "nodes/proxy") {
					t.Errorf("not checked: %+v", n)
				}
			}
			for _, file := range stageFiles(t, stage) {
				holdTo(t, file, d)
			}
		})
	}
	t.Run("the role of --print-rbac is enough", func(t *testing.T) {
		c.must(t, "create", "namespace", "shop")
		printedRole(t, c)
	})
	t.Run("each kind is listed once", func(t *testing.T) { asksOnce(t, c) })
	t.Run("distributions", func(t *testing.T) { distributions(t, c, a) })
}

// recognised holds the table of systems to what runs.
func recognised(t *testing.T, c *testCluster, stage string) error {
	var table report.Systems
	if err := json.Unmarshal([]byte(c.must(t, "prod", "doctor", "systems", "-o", "json")), &table); err != nil {
		t.Fatal(err)
	}
	byName := map[string]report.System{}
	for _, item := range table.Items {
		byName[item.Name] = item
	}
	var errs []error
	for name, image := range running() {
		if item := byName[name]; item.Version != image[1] || !strings.HasPrefix(item.Health, stage+", ") {
			errs = append(errs, fmt.Errorf("%s should be %s, %s, and is %+v", name, image[1], stage, item))
		}
	}
	if byName["Gateway API"].Health != "its API only" {
		errs = append(errs, fmt.Errorf("Gateway API is %+v", byName["Gateway API"]))
	}
	if len(errs) == 0 && stage == "healthy" {
		t.Logf("kubectl prod doctor systems\n%s", c.must(t, "prod", "doctor", "systems"))
	}
	return errors.Join(errs...)
}

// holdTo holds a diagnosis to what a file says of itself.
func holdTo(t *testing.T, file string, d *report.Diagnosis) {
	t.Helper()
	name := filepath.Base(file)
	for _, line := range told(t, file, "not") {
		practice, object, narrowed := strings.Cut(line, " ")
		for _, f := range d.Findings {
			if f.Practice == practice && (!narrowed || f.Object.String() == object) {
				t.Errorf("%s: %s on %s: %s", name, practice, f.Object, f.Message)
			}
		}
	}
	for _, line := range told(t, file, "is") {
		practice, object, _ := strings.Cut(line, " ")
		if !has(d, practice, object) {
			t.Errorf("%s: %s is not found on %s", name, practice, object)
		}
	}
}

// told are the lines of a file's comments that begin with a word.
func told(t *testing.T, file, word string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, match := range regexp.MustCompile(`(?m)^# `+word+`: (.+)$`).FindAllStringSubmatch(string(data), -1) {
		lines = append(lines, match[1])
	}
	return lines
}

func stageFiles(t *testing.T, stage string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "systems", stage, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s systems: %v", stage, err)
	}
	for _, file := range files {
		if len(told(t, file, "is"))+len(told(t, file, "not")) == 0 {
			t.Errorf("%s says nothing of what doctor must say", file)
		}
	}
	return files
}

// download unpacks a module through the Go module proxy, and is its directory.
func (m module) download(t *testing.T) string {
	t.Helper()
	command := exec.Command("go", "mod", "download", "-json", m.path+"@"+m.version)
	command.Dir = t.TempDir() // outside any module
	command.Env = append(os.Environ(), "GOTOOLCHAIN=local", "GOFLAGS=-mod=mod")
	out, err := command.Output()
	var got struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(out, &got); jsonErr != nil || err != nil {
		t.Fatalf("%s@%s: %v %s", m.path, m.version, err, got.Error)
	}
	if got.Sum != m.sum {
		t.Fatalf("%s@%s has the sum %s, and should have %s", m.path, m.version, got.Sum, m.sum)
	}
	return got.Dir
}

// applier writes objects as their makers would: the status through its own
// subresource where the kind has one, owners by their real UID.
type applier struct {
	client   dynamic.Interface
	discover discovery.DiscoveryInterface
	mapper   meta.RESTMapper
	statuses map[string]bool // resource.group with a status subresource
}

func newApplier(t *testing.T, c *testCluster) *applier {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	a := &applier{statuses: map[string]bool{}}
	if a.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if a.discover, err = discovery.NewDiscoveryClientForConfig(config); err != nil {
		t.Fatal(err)
	}
	a.learn(t)
	return a
}

// learn asks anew which kinds there are.
func (a *applier) learn(t *testing.T) {
	t.Helper()
	groups, err := restmapper.GetAPIGroupResources(a.discover)
	if err != nil {
		t.Fatal(err)
	}
	a.mapper = restmapper.NewDiscoveryRESTMapper(groups)
	for _, group := range groups {
		for _, resources := range group.VersionedResources {
			for _, resource := range resources {
				if name, found := strings.CutSuffix(resource.Name, "/status"); found {
					a.statuses[name+"."+group.Group.Name] = true
				}
			}
		}
	}
}

// definitions applies the definitions in files, and leaves aside what else
// stands in them.
func (a *applier) definitions(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file is like %s: %v", pattern, err)
	}
	for _, file := range files {
		for _, object := range objectsIn(t, file) {
			if object.GetKind() == "CustomResourceDefinition" {
				unstructured.RemoveNestedField(object.Object, "spec", "conversion") // there is no webhook here
				unstructured.RemoveNestedField(object.Object, "status")
				a.apply(t, object)
			}
		}
	}
}

// established waits until all definitions are served; discovery has one of
// them.
func (a *applier) established(t *testing.T, one schema.GroupKind) {
	t.Helper()
	definitions := a.client.Resource(a.mapping(t, "apiextensions.k8s.io/v1", "CustomResourceDefinition").Resource)
	eventually(t, time.Minute, func() error {
		list, err := definitions.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, item := range list.Items {
			conditions, _, _ := unstructured.NestedSlice(item.Object, "status", "conditions")
			if !slices.ContainsFunc(conditions, func(c any) bool {
				condition, _ := c.(map[string]any)
				return condition["type"] == "Established" && condition["status"] == "True"
			}) {
				return fmt.Errorf("%s is not established: %v", item.GetName(), conditions)
			}
		}
		return nil
	})
	eventually(t, time.Minute, func() error { // discovery follows a moment later
		a.learn(t)
		_, err := a.mapper.RESTMapping(one)
		return err
	})
}

func (a *applier) applyFile(t *testing.T, file string) {
	t.Helper()
	for _, object := range objectsIn(t, file) {
		a.apply(t, object)
	}
}

func (a *applier) apply(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	mapping := a.mapping(t, object.GetAPIVersion(), object.GetKind())
	var client dynamic.ResourceInterface = a.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		client = a.client.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	a.own(t, object)
	options := metav1.ApplyOptions{FieldManager: "e2e", Force: true}
	if _, err := client.Apply(t.Context(), object.GetName(), object, options); err != nil {
		t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
	if _, has := object.Object["status"]; has && a.statuses[mapping.Resource.GroupResource().String()] {
		if _, err := client.ApplyStatus(t.Context(), object.GetName(), object, options); err != nil {
			t.Fatalf("status of %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

// own fills in the UIDs of an object's owners.
func (a *applier) own(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	owners, _, _ := unstructured.NestedSlice(object.Object, "metadata", "ownerReferences")
	for _, item := range owners {
		owner, _ := item.(map[string]any)
		mapping := a.mapping(t, owner["apiVersion"].(string), owner["kind"].(string))
		found, err := a.client.Resource(mapping.Resource).Namespace(object.GetNamespace()).Get(t.Context(), owner["name"].(string), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		owner["uid"] = string(found.GetUID())
	}
	if len(owners) > 0 {
		if err := unstructured.SetNestedSlice(object.Object, owners, "metadata", "ownerReferences"); err != nil {
			t.Fatal(err)
		}
	}
}

func (a *applier) mapping(t *testing.T, apiVersion, kind string) *meta.RESTMapping {
	t.Helper()
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	mapping, err := a.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind}, version)
	if err != nil {
		t.Fatal(err)
	}
	return mapping
}

// run runs the systems' images; of sick ones a second pod fits nowhere.
func (a *applier) run(t *testing.T, sick bool) {
	t.Helper()
	namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "systems"}}}
	a.apply(t, namespace)
	for name, image := range running() {
		labels := map[string]string{"app": strings.ToLower(strings.ReplaceAll(name, " ", "-"))}
		deployment := &appsv1.Deployment{
			TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
			ObjectMeta: metav1.ObjectMeta{Name: "the-" + labels["app"], Namespace: "systems"},
			Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image[0] + ":" + image[1]}}},
				},
			},
		}
		if sick {
			deployment.Spec.Template.Spec.NodeSelector = map[string]string{"nowhere": "true"}
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(deployment)
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{Object: content}
		unstructured.RemoveNestedField(content, "status")
		a.apply(t, object)
	}
}

// distributions holds the first row of the table to nodes as each leaves them.
func distributions(t *testing.T, c *testCluster, a *applier) {
	for _, object := range objectsIn(t, filepath.Join("testdata", "systems", "nodes.yaml")) {
		want := object.GetAnnotations()["want"]
		t.Run(want, func(t *testing.T) {
			a.apply(t, object)
			defer c.must(t, "delete", "node", object.GetName())
			var table report.Systems
			if err := json.Unmarshal([]byte(c.must(t, "prod", "doctor", "systems", "-o", "json")), &table); err != nil {
				t.Fatal(err)
			}
			if got := table.Items[0].Name; got != want {
				t.Errorf("the distribution is %s: %+v", got, table.Items[0])
			}
		})
	}
}

func objectsIn(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if object.IsList() {
			list, err := object.ToList()
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for i := range list.Items {
				objects = append(objects, &list.Items[i])
			}
		} else if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}
