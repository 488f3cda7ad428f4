package cluster

import (
	"slices"
	"testing"
)

func TestPodTemplatesAreFoundByTheirShape(t *testing.T) {
	for name, test := range map[string]struct {
		yaml string
		want []string // owner, path and image
	}{
		"an Argo Rollout": {`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web, namespace: shop}
spec: {replicas: 3, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: web:1}]}}}`,
			[]string{"rollout.argoproj.io/web spec.template.spec web:1"}},
		"a Knative Service, whose container has no name": {`
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello, namespace: shop}
spec: {template: {spec: {containerConcurrency: 10, containers: [{image: hello:1}]}}}`,
			[]string{"service.serving.knative.dev/hello spec.template.spec hello:1"}},
		"a training job with a template a role": {`
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: train, namespace: shop}
spec:
  pytorchReplicaSpecs:
    Master: {template: {spec: {containers: [{name: pytorch, image: train:1}]}}}
    Worker: {template: {spec: {containers: [{name: pytorch, image: train:2}]}}}`,
			[]string{
				"pytorchjob.kubeflow.org/train spec.pytorchReplicaSpecs.Master.template.spec train:1",
				"pytorchjob.kubeflow.org/train spec.pytorchReplicaSpecs.Worker.template.spec train:2",
			}},
		"templates in a list": {`
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: ray, namespace: shop}
spec: {workerGroupSpecs: [{template: {spec: {containers: [{name: ray, image: ray:1}]}}}]}`,
			[]string{"raycluster.ray.io/ray spec.workerGroupSpecs[0].template.spec ray:1"}},
		"one that names no namespace": {`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec: {template: {spec: {containers: [{name: app, image: web:1}]}}}`,
			[]string{"rollout.argoproj.io/web spec.template.spec web:1"}},
		"a policy's pattern is none": {`
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: no-latest}
spec: {rules: [{validate: {pattern: {spec: {containers: [{image: "!*:latest"}]}}}}]}`, nil},
		"containers of another kind are none": {`
apiVersion: example.com/v1
kind: Shipment
metadata: {name: s, namespace: shop}
spec: {containers: [{size: 40ft}]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range dump(t, test.yaml).Workloads() {
				if w.Owner.Namespace == "" {
					t.Errorf("%s is in no namespace", w.Owner)
				}
				got = append(got, w.Owner.String()+" "+w.TemplatePath+" "+w.Template.Spec.Containers[0].Image)
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}
